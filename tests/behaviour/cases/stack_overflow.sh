# An endless recursion, caught on an alternate stack.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <signal.h>
#include <unistd.h>
static char stack[65536];
static void h(int s) { (void)s; write(1, "caught\n", 7); _exit(8); }
static int deep(volatile int n) { char room[4096]; room[0] = n; return deep(n + 1) + room[0]; }
int main(void) { stack_t s = { .ss_sp = stack, .ss_size = sizeof stack }; struct sigaction a = { .sa_handler = h, .sa_flags = SA_ONSTACK }; sigaltstack(&s, 0); sigaction(SIGSEGV, &a, 0); return deep(0); }
X
gcc p.c -o p -O0 -w
# run:
./p; echo "status $?"
