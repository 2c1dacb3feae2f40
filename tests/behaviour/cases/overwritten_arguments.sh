# A program writes over its arguments and its environment, and goes on.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int c, char **v) { char *end = v[0]; for (char **e = environ; *e; e++) end = *e + strlen(*e); environ = 0; memset(v[0], 65, end - v[0]); (void)c; char *no[] = { "echo", "still", 0 }; printf("%c\n", *v[0]); fflush(stdout); execve("/bin/echo", no, environ); return 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
