/* Uses processors and memory in many ways; as `measure`, says exactly how much another one did. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* It survives exec. */
static long used_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000L + now.tv_nsec / 1000;
}

static void burn(long ms)
{
    long until = used_us() + ms * 1000;
    while (used_us() < until)
        ;
}

static void *burn_in_thread(void *ms)
{
    burn((long)ms);
    return NULL;
}

static void work(char **words)
{
    for (; words[0] && words[1]; words += 2) {
        long number = atol(words[1]);
        if (!strcmp(words[0], "burn"))
            burn(number);
        if (!strcmp(words[0], "threads")) {
            pthread_t threads[2];
            for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, burn_in_thread, (void *)number);
            for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        }
        if (!strcmp(words[0], "workers")) {
            for (int i = 0; i < 3; i++)
                if (!fork()) {
                    burn(number);
                    _exit(5);
                }
            while (wait(NULL) > 0)
                ;
        }
        if (!strcmp(words[0], "memory")) {
            char *memory = mmap(NULL, number << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(memory, 1, number << 20);
            munmap(memory, number << 20);
        }
        if (!strcmp(words[0], "thread-exits")) {
            pthread_t thread;
            pthread_create(&thread, NULL, burn_in_thread, (void *)number);
            pthread_exit(NULL);
        }
        if (!strcmp(words[0], "kill"))
            kill(getpid(), number);
        if (!strcmp(words[0], "exit"))
            exit(number);
        if (!strcmp(words[0], "exec")) {
            words[1] = "/proc/self/exe";
            execv(words[1], words + 1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 3 || strcmp(argv[1], "measure")) {
        work(argv + 1);
        return 0;
    }
    pid_t child = fork();
    if (!child) {
        setenv("LD_PRELOAD", argv[2], 1);
        execv(argv[3], argv + 3);
        _exit(127);
    }
    struct rusage usage;
    int status;
    wait4(child, &status, 0, &usage);
    printf("%ld %ld\n",
           (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec,
           usage.ru_maxrss);
    return 0;
}
