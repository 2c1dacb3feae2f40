# No further process or thread may be made.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <sys/resource.h>
#include <stdio.h>
#include <unistd.h>
int main(int c, char **v) { struct rlimit none = {0, 0}; setrlimit(RLIMIT_NPROC, &none); execl("/bin/echo", "echo", "lonely", (char *)0); return 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
