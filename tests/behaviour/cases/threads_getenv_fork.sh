# Threads that call getenv and setenv while others fork.
# needs: gcc
# prepare:
cat > t.c <<'X'
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *getter(void *a) { for (int i = 0; i < 20000; i++) if (!getenv("HOME")) abort(); return a; }
static void *forker(void *a) { for (int i = 0; i < 50; i++) { pid_t p = fork(); if (!p) _exit(i & 7); int s; waitpid(p, &s, 0); if (WEXITSTATUS(s) != (i & 7)) abort(); } return a; }
int main(void) { pthread_t t[4]; for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, i & 1 ? forker : getter, 0); for (int i = 0; i < 4; i++) pthread_join(t[i], 0); puts("done"); return 0; }
X
gcc -pthread t.c -o t
# run:
./t; echo "status $?"
