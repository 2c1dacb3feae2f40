# Threads with the smallest stack, one of which ends the process.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static void *f(void *x) { write(1, "small\n", 6); if (x) exit(5); return x; }
int main(void) { pthread_attr_t a; pthread_t t; pthread_attr_init(&a); pthread_attr_setstacksize(&a, PTHREAD_STACK_MIN); pthread_create(&t, &a, f, 0); pthread_join(t, 0); pthread_create(&t, &a, f, &a); for (;;) pause(); }
X
gcc p.c -o p -pthread
# run:
./p; echo "status $?"
