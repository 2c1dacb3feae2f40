# A program of another libc.
# needs: musl-gcc
# prepare:
cat > m.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
int main(int c, char **v) { printf("musl %d %s %d\n", c, v[1], errno); printf("%d\n", rand()); return 5; }
X
musl-gcc m.c -o m
# run:
./m arg; echo "status $?"
