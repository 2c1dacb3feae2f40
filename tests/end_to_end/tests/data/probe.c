/* A program that does what its words say: "sleep MS", "exit N", "kill N", "exec PATH WORD...",
   "many N PATH WORD...": N processes of PATH, one after the other. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void many(int count, char **words)
{
    for (int i = 0; i < count; i++) {
        pid_t child = vfork();
        if (child == 0) {
            execv(words[0], words);
            _exit(127);
        }
        waitpid(child, 0, 0);
    }
}

int main(int argc, char **argv)
{
    for (int at = 1; at + 1 < argc; at += 2) {
        int number = atoi(argv[at + 1]);
        if (!strcmp(argv[at], "sleep")) {
            usleep(number * 1000);
        } else if (!strcmp(argv[at], "exit")) {
            _exit(number);
        } else if (!strcmp(argv[at], "kill")) {
            kill(getpid(), number);
        } else if (!strcmp(argv[at], "exec")) {
            execv(argv[at + 1], argv + at + 1);
            return 126;
        } else if (!strcmp(argv[at], "many")) {
            many(number, argv + at + 2);
            return 0;
        }
    }
    return 0;
}
