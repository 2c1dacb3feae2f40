# The open descriptors of a child, after the start, in a C program at main and at exit.
# needs: gcc
# prepare:
cat > fds.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
static void show(void) { for (int fd = 0; fd < 256; fd++) if (fcntl(fd, F_GETFD) >= 0) printf("%d:%d ", fd, fcntl(fd, F_GETFD)); puts(""); fflush(stdout); }
int main(void) { atexit(show); show(); printf("next %d\n", open("/dev/null", O_RDONLY)); return 0; }
X
gcc fds.c -o fds
# run:
./fds; ./fds 3</dev/null 7</dev/null; ls -l /proc/self/fd | wc -l
