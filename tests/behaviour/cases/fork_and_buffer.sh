# A forked child that ends by exit flushes its copy of the buffer once, not twice; an _exit none.
# needs: gcc
# prepare:
cat > f.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(void) { puts("atexit"); }
int main(int c, char **v) { atexit(end); printf("once "); pid_t p = fork(); if (!p) { if (c > 1) _exit(0); exit(0); } wait(0); puts("parent"); return 0; }
X
gcc f.c -o f
# run:
./f | cat; ./f quick | cat
