# A double fork with setsid: the grandchild outlives its parents, and its output comes.
# needs: gcc
# prepare:
cat > d.c <<'X'
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { int p[2]; pipe(p); if (!fork()) { setsid(); if (!fork()) { close(p[0]); usleep(20000); write(p[1], "late\n", 5); return 0; } return 0; } wait(0); close(p[1]); char b[9]; int n = read(p[0], b, 9); write(1, b, n); return n; }
X
gcc d.c -o d
# run:
./d; echo "status $?"
