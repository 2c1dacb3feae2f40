# The first thread leaves, another ends the process.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <pthread.h>
#include <unistd.h>
static void *f(void *x) { usleep(10000); write(1, "last\n", 5); _exit(7); return x; }
int main(void) { pthread_t t; pthread_create(&t, 0, f, 0); pthread_exit(0); }
X
gcc p.c -o p -pthread
# run:
./p; echo "status $?"
