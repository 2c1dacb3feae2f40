# exit() while another thread opens and closes libraries, by LD_AUDIT, a hundred times.
# needs: gcc
# prepare:
cat > race.c <<'X'
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
static char **names;
static int count;
static volatile int going;
static void *churn(void *unused) {
  for (;;) {
    void *open[16];
    for (int i = 0; i < count; i++) open[i] = dlopen(names[i], RTLD_NOW);
    going = 1;
    for (int i = 0; i < count; i++) if (open[i]) dlclose(open[i]);
  }
  return unused;
}
int main(int c, char **v) {
  pthread_t t;
  names = v + 1; count = c - 1 > 16 ? 16 : c - 1;
  pthread_create(&t, 0, churn, 0);
  while (!going) usleep(50);
  usleep(getpid() % 500);
  exit(0);
}
X
gcc -O1 race.c -o race -lpthread -ldl
for i in 0 1 2 3 4 5 6 7; do echo "int f$i(void) { return $i; }" > l.c; gcc -shared -fPIC l.c -o lib$i.so; done
# run:
bad=0; for i in $(seq 100); do ./race ./lib*.so || bad=$((bad + 1)); done; echo "$bad ended badly"
