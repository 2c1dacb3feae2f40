# atexit, on_exit, destructors and quick_exit: the order stays.
# needs: gcc
# prepare:
cat > p.c <<'X'
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static void a(void) { write(1, "a\n", 2); }
static void b(int s, void *x) { (void)x; printf("b %d\n", s); }
__attribute__((destructor)) static void d(void) { write(1, "d\n", 2); }
int main(int c, char **v) { (void)v; atexit(a); on_exit(b, 0); at_quick_exit(a); if (c > 1) quick_exit(4); exit(3); }
X
gcc p.c -o p
# run:
./p; echo "status $?"; ./p q; echo "status $?"
