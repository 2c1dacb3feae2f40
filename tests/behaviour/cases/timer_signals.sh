# A profiling timer fires all the time, and the program executes another.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
int main(int c, char **v) { if (c > 1) { puts("second"); return 3; } signal(SIGALRM, SIG_IGN); struct itimerval t = { { 0, 200 }, { 0, 200 } }; setitimer(ITIMER_REAL, &t, 0); execl("/proc/self/exe", v[0], "x", (char *)0); return 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
