# A gcc ThreadSanitizer program runs, and still finds its race.
# needs: gcc setarch
# mode: preload
# prepare:
cat > t.c <<'X'
#include <pthread.h>
#include <unistd.h>
static int shared;
static void *add(void *unused) { shared++; return unused; }
int main(int c, char **v) {
  pthread_t t;
  if (c < 2) return 0;
  pthread_create(&t, 0, add, 0);
  usleep(20000); /* Two accesses at the very same time may be missed. */
  shared++;
  pthread_join(t, 0);
  return v[1][0] != 'r';
}
X
gcc -fsanitize=thread -g t.c -o t
# run:
setarch -R ./t; echo "status $?"; setarch -R ./t race >/dev/null 2>&1; echo "status $?"
