# A program that is traced by its parent from its first call on.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { int s, p = fork(); if (!p) { ptrace(PTRACE_TRACEME, 0, 0, 0); execl("/bin/sh", "sh", "-c", "exit 4", (char *)0); } waitpid(p, &s, 0); printf("%d\n", WSTOPSIG(s)); ptrace(PTRACE_CONT, p, 0, 0); while (waitpid(p, &s, 0) == p && WIFSTOPPED(s)) ptrace(PTRACE_CONT, p, 0, WSTOPSIG(s)); return WEXITSTATUS(s); }
X
gcc p.c -o p
# run:
./p; echo "status $?"
