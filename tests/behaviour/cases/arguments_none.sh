# argc of 0: a caller may pass no argument at all.
# needs: gcc
# prepare:
cat > z.c <<'X'
#include <stdio.h>
#include <unistd.h>
int main(int c, char **v) { if (c > 1) { char *none[] = {0}; execv(v[0], none); return 9; } printf("argc %d\n", c); return 3; }
X
gcc z.c -o z
# run:
./z x; echo "status $?"
