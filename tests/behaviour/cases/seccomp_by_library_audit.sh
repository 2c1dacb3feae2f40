# By LD_AUDIT: a library sets a filter that kills.
# needs: gcc
# mode: audit
# prepare:
cat > box.c <<'X'
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#define LET(n, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, skip, 0)
static struct sock_filter f[] = {
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  LET(SYS_write, 5), LET(SYS_exit_group, 4), LET(SYS_munmap, 3), LET(SYS_futex, 2), LET(SYS_brk, 1),
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
int lock_me(void) {
  struct sock_fprog p = { sizeof f / sizeof *f, f };
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p);
}
X
echo 'int lock_me(void); int main(void) { return lock_me() ? 9 : 4; }' > use.c
gcc -shared -fPIC box.c -o libbox.so
gcc use.c -L. -lbox -Wl,-rpath,'$ORIGIN' -o use
# run:
./use; echo "status $?"
