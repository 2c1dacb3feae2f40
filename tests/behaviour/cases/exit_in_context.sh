# exit on a stack of makecontext.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
static char stack[16384];
static void out(void) { puts("leaving"); exit(6); }
int main(void) { ucontext_t a, b; getcontext(&b); b.uc_stack.ss_sp = stack; b.uc_stack.ss_size = sizeof stack; makecontext(&b, out, 0); swapcontext(&a, &b); return 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
