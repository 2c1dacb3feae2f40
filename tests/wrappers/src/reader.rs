//! A program that finds its own notes in its memory, as libogrt.so would: C source for the tests to
//! link in.

/// `print_signatures()` prints a line of hexadecimal digits for each signature in the program and
/// its libraries.
pub const READER: &str = r#"
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int each(struct dl_phdr_info *info, size_t size, void *data) {
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_NOTE) continue;
        const char *at = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        const char *end = at + info->dlpi_phdr[i].p_memsz;
        while (end - at >= 12) {
            uint32_t head[3];
            memcpy(head, at, sizeof head);
            const char *name = at + 12, *desc = name + ((head[0] + 3) & ~3u);
            if (head[2] == 0x4F475254 && head[0] == 12 && !memcmp(name, "OGRT", 5)) {
                for (int byte = 8; byte < 24; byte++) printf("%02x", (unsigned char)desc[byte]);
                printf("\n");
            }
            at = desc + ((head[1] + 3) & ~3u);
        }
    }
    return 0;
}

void print_signatures(void) { dl_iterate_phdr(each, 0); fflush(stdout); }
"#;

/// A program that loads the library named first and prints what it finds.
pub const LOADER: &str = "#include <dlfcn.h>\n#include <stdio.h>\nvoid print_signatures(void);\n\
    int main(int argc, char **argv) {\n\
    \x20 void *library = dlopen(argv[1], RTLD_NOW);\n\
    \x20 int (*answer)(void) = library ? (int (*)(void)) dlsym(library, \"answer\") : 0;\n\
    \x20 if (!answer) { puts(dlerror()); return 1; }\n\
    \x20 printf(\"answer %d\\n\", answer()); fflush(stdout); print_signatures(); return 3; }\n";
