# A filter that is set by a raw system call in a library opened late; no import tells of it.
# needs: gcc
# prepare:
cat > late.c <<'X'
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LET(n, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, n, skip, 0)
static struct sock_filter f[] = {
  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  LET(SYS_write, 5), LET(SYS_exit_group, 4), LET(SYS_munmap, 3), LET(SYS_futex, 2), LET(SYS_brk, 1),
  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
int lock_me(void) {
  struct sock_fprog p = { sizeof f / sizeof *f, f };
  if (syscall(SYS_prctl, 38, 1, 0, 0, 0)) return 1;
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
}
X
cat > use.c <<'X'
#include <dlfcn.h>
int main(int c, char **v) {
  void *h = dlopen(v[c - 1], RTLD_NOW);
  int (*lock)(void) = h ? (int (*)(void))dlsym(h, "lock_me") : 0;
  return !lock || lock() ? 9 : 4;
}
X
gcc -shared -fPIC late.c -o liblate.so
gcc use.c -o use -ldl
# run:
./use ./liblate.so; echo "status $?"
