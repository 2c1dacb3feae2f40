# errno at main, the signal mask, handlers and pending signals, umask, alarm, the working directory.
# SigQ is left out: it counts the queued signals of all processes of the user.
# needs: gcc
# prepare:
cat > e.c <<'X'
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void) {
  int e = errno; printf("errno %d umask %o alarm %u\n", e, umask(0), alarm(0));
  FILE *f = fopen("/proc/self/status", "r"); char l[256];
  while (fgets(l, sizeof l, f)) if ((!strncmp(l, "Sig", 3) && l[3] != 'Q') || !strncmp(l, "Threads", 7) || !strncmp(l, "Cap", 3) || !strncmp(l, "NoNew", 5)) fputs(l, stdout);
  fclose(f); char d[4096]; puts(strrchr(getcwd(d, sizeof d), '/')); return 0; }
X
gcc e.c -o e
# run:
./e; (trap '' PIPE XFSZ; ./e)
