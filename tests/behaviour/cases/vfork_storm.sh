# 300 times vfork and exec, each child's status right.
# needs: gcc
# prepare:
cat > v.c <<'X'
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { int sum = 0; for (int i = 0; i < 300; i++) { pid_t p = vfork(); if (!p) { execl("/bin/sh", "sh", "-c", i % 2 ? "exit 1" : "exit 2", (char *)0); _exit(99); } int s; waitpid(p, &s, 0); sum += WEXITSTATUS(s); } printf("%d\n", sum); return 0; }
X
gcc v.c -o v
# run:
./v; echo "status $?"
