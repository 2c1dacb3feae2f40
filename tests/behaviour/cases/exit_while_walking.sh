# exit() while another thread is inside a walk over the loaded objects and stays there.
# needs: gcc timeout
# prepare:
cat > e.c <<'X'
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile int inside;
static int stay(struct dl_phdr_info *i, size_t n, void *d) { inside = 1; for (;;) pause(); return i && n && d; }
static void *walk(void *unused) { dl_iterate_phdr(stay, 0); return unused; }
int main(void) {
  pthread_t t;
  pthread_create(&t, 0, walk, 0);
  while (!inside) usleep(1000);
  puts("leaving");
  exit(0);
}
X
gcc e.c -o e -lpthread
# run:
timeout 10 ./e; echo "status $?"
