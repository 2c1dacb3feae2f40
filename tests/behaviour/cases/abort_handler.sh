# abort with a handler that returns, and one that does not.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static sigjmp_buf back; static int jump;
static void h(int s) { (void)s; write(1, "handler\n", 8); if (jump) siglongjmp(back, 1); }
int main(int c, char **v) { (void)v; jump = c > 1; signal(SIGABRT, h); if (!sigsetjmp(back, 1)) abort(); return 5; }
X
gcc p.c -o p
# run:
ulimit -c 0; ./p; echo "status $?"; ./p x; echo "status $?"
