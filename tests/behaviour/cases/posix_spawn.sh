# posix_spawn with file actions and a group of its own.
# needs: gcc
# prepare:
cat > p.c <<'X'
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(void) { posix_spawn_file_actions_t f; posix_spawnattr_t a; pid_t p; int s; char *v[] = { "sh", "-c", "echo to file; exit 3", 0 }; posix_spawn_file_actions_init(&f); posix_spawn_file_actions_addopen(&f, 1, "out", O_CREAT | O_WRONLY, 0644); posix_spawnattr_init(&a); posix_spawnattr_setflags(&a, POSIX_SPAWN_SETPGROUP); posix_spawn(&p, "/bin/sh", &f, &a, v, environ); waitpid(p, &s, 0); return WEXITSTATUS(s) + 1; }
X
gcc p.c -o p
# run:
./p; echo "status $?"
