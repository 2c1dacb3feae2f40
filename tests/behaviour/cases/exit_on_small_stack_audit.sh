# By LD_AUDIT: exit() in a signal handler on an alternate stack of 8,192 bytes.
# needs: gcc
# mode: audit
# prepare:
cat > alt.c <<'X'
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
static void leave(int s) { exit(s == SIGTERM ? 0 : 1); }
int main(int c, char **v) {
  size_t n = c > 1 ? atoi(v[1]) : 8192;
  char *m = mmap(0, n + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(m, 4096, PROT_NONE);
  stack_t s = {.ss_sp = m + 4096, .ss_size = n};
  if (sigaltstack(&s, 0)) return 8;
  struct sigaction a = {.sa_handler = leave, .sa_flags = SA_ONSTACK};
  sigaction(SIGTERM, &a, 0);
  raise(SIGTERM);
  return 7;
}
X
gcc alt.c -o alt
# run:
for n in 8192 12288 16384; do ./alt $n; echo "$n: status $?"; done
