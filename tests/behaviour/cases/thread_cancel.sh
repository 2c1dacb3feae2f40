# A thread is cancelled in a call, and cleans up.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <pthread.h>
#include <unistd.h>
static void clean(void *x) { (void)x; write(1, "cleaned\n", 8); }
static void *f(void *x) { pthread_cleanup_push(clean, 0); for (;;) pause(); pthread_cleanup_pop(0); return x; }
int main(void) { pthread_t t; void *r; pthread_create(&t, 0, f, 0); pthread_cancel(t); pthread_join(t, &r); return r == PTHREAD_CANCELED ? 3 : 1; }
X
gcc p.c -o p -pthread
# run:
./p; echo "status $?"
