# Python loads its filter by a library that it opens late (python3-seccomp).
# needs: /usr/bin/python3
# prepare:
cat > s.py <<'X'
import os, sys, seccomp
f = seccomp.SyscallFilter(seccomp.KILL_PROCESS)
for s in ("read write close exit_group exit munmap mmap brk futex rt_sigaction rt_sigreturn rt_sigprocmask "
          "sigaltstack madvise fstat newfstatat lseek ioctl openat getdents64 epoll_ctl unlink mprotect").split():
    f.add_rule(seccomp.ALLOW, s)
f.load()
print("inside")
sys.exit(3)
X
# run:
/usr/bin/python3 s.py; echo "status $?"
