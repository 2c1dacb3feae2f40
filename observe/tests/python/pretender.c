/* A program with the least that Python 3.13 says of itself, in the layout that the macros choose:
   HEAD, the size of the head of an object; BITS, how a text says that it is one. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 3 };
static const char *names[NAMES] = {"builtins", "numpy.linalg", "sys"};

uint64_t _PyRuntime[64];
static uint64_t interpreter[3], thread[3], keys[32];
static unsigned char text_type[64], dict_type[64], dict[64], texts[NAMES][128];

static void put(void *place, int offset, uint64_t value)
{
    memcpy((char *)place + offset, &value, 8);
}

static uint64_t address(const void *place)
{
    return (uint64_t)(uintptr_t)place;
}

int main(void)
{
    /* The version, free threading, the first interpreter; of an interpreter next, threads, modules. */
    memcpy(_PyRuntime, "xdebugpy", 8);
    _PyRuntime[1] = 0x030d05f0;
    _PyRuntime[2] = HEAD == 32;
    _PyRuntime[5] = 32 * 8;
    _PyRuntime[8] = 0;
    _PyRuntime[9] = 8;
    _PyRuntime[11] = 16;
    _PyRuntime[32] = address(interpreter);
    interpreter[1] = address(thread);
    interpreter[2] = address(dict);
    thread[2] = address(interpreter);
    put(dict_type, HEAD + 8, address("dict"));
    put(text_type, HEAD + 8, address("str"));
    put(dict, HEAD - 8, address(dict_type));
    put(dict, HEAD, NAMES);
    put(dict, HEAD + 16, address(keys));
    /* Eight places, eight bytes of indices, hashes in the entries. */
    keys[1] = 3 | 3 << 8;
    keys[3] = NAMES;
    for (int i = 0; i < NAMES; i++) {
        uint64_t *entry = keys + 5 + 3 * i;
        entry[0] = 1000 + i;
        entry[1] = address(texts[i]);
        entry[2] = address(dict);
        put(texts[i], HEAD - 8, address(text_type));
        put(texts[i], HEAD, strlen(names[i]));
        put(texts[i], HEAD + 8, 1000 + i);
        put(texts[i], HEAD + 16, BITS);
        strcpy((char *)texts[i] + HEAD + 24, names[i]);
        puts(names[i]);
    }
    puts(".");
    fflush(stdout);
    char byte;
    return read(0, &byte, 1) != 0;
}
