# Processes that share memory and wait for each other.
# needs: gcc
# prepare:
cat > p.c <<'X'
#define _GNU_SOURCE
#include <semaphore.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) { struct { sem_t s; int n; } *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); sem_init(&m->s, 1, 1); for (int i = 0; i < 8; i++) if (!fork()) { for (int k = 0; k < 1000; k++) { sem_wait(&m->s); m->n++; sem_post(&m->s); } _exit(0); } while (wait(0) > 0) {} printf("%d\n", m->n); return 0; }
X
gcc p.c -o p -pthread
# run:
./p; echo "status $?"
