# dlmopen: a second libc in a list of objects of its own.
# needs: gcc
# prepare:
cat > p.c <<'X'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
int main(void) { void *h = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW); int (*f)(int) = h ? (int (*)(int))dlsym(h, "abs") : 0; printf("%d\n", f ? f(-5) : -1); return 2; }
X
gcc p.c -o p -ldl
# run:
./p; echo "status $?"
