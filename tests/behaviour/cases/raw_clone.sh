# A raw clone that shares memory, and executes.
# needs: gcc
# prepare:
cat > p.c <<'X'
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static char stack[65536];
static int f(void *x) { (void)x; execl("/bin/sh", "sh", "-c", "exit 5", (char *)0); _exit(1); }
int main(void) { int s, p = clone(f, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, 0); waitpid(p, &s, 0); printf("%d\n", WEXITSTATUS(s)); return 0; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
