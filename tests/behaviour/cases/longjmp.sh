# longjmp out of a signal handler and across frames.
# needs: gcc
# prepare:
cat > j.c <<'X'
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
static sigjmp_buf b;
static void h(int s) { siglongjmp(b, s); }
int main(void) { signal(SIGSEGV, h); int r = sigsetjmp(b, 1); if (r) { printf("caught %d\n", r); return r; } *(volatile int *)0 = 1; return 1; }
X
gcc j.c -o j
# run:
./j; echo "status $?"
