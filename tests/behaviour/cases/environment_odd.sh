# Entries without "=", empty names, the same name twice, and no entry at all.
# needs: gcc
# prepare:
cat > o.c <<'X'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
int main(int c, char **v) {
  if (c > 1) { char p[4200] = "LD_PRELOAD="; const char *l = getenv("LD_PRELOAD"); if (l) strcat(p, l);
    char *odd[] = {"NOEQUALS", "=x", "A=1", "A=2", p, "OGRT_ACTIVE=1", "", "OGRT_SERVER=", "JOBID", 0}; execve(v[0], (char *[]){v[0], 0}, odd); return 9; }
  for (char **e = environ; *e; e++) if (strncmp(*e, "LD_PRELOAD", 10)) puts(*e); return 0; }
X
gcc o.c -o o
# run:
./o x; echo "status $?"
