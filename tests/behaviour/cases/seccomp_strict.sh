# The strict mode of seccomp: read, write and exit are all.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int c, char **v) { (void)v; if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT)) return 9; write(1, "strict\n", 7); if (c > 1) syscall(SYS_getpid); syscall(SYS_exit, 3); return 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"; ./p x; echo "status $?"
