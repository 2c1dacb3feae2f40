# dlopen and dlclose 300 times, with constructors and destructors, and the list of objects.
# needs: gcc
# prepare:
printf '#include <stdlib.h>\nextern int count; static __attribute__((constructor)) void in(void){count++;} static __attribute__((destructor)) void out(void){count+=1000;}\n' > l.c
gcc -shared -fPIC l.c -o libl.so
cat > d.c <<'X'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
int count;
static int each(struct dl_phdr_info *i, size_t s, void *n) { ++*(int *)n; return 0; }
int main(void) { for (int i = 0; i < 300; i++) { void *h = dlopen("./libl.so", RTLD_NOW); if (!h) { puts(dlerror()); return 1; } dlclose(h); } int n = 0; dl_iterate_phdr(each, &n); printf("%d %d %p\n", count, n, dlsym(RTLD_DEFAULT, "no_such_symbol")); return 0; }
X
gcc -rdynamic d.c -o d -ldl
# run:
./d; echo "status $?"
