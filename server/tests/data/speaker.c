/* A process that says of itself what the test wants said, and then ends as it is told.
 *
 * Its arguments are done one after the other:
 *   stream PATH, dgram PATH   where `send` sends to
 *   number N                  the last four bytes of the event id that `send` puts into its frames
 *   send FILE                 sends a frame; a start time in it that is 1111111111111111111 becomes that of
 *                             this program
 *   late MS FILE              connects now, and sends it so much later, whatever becomes of the process
 *   sleep MS
 *   burn MS                   uses so much CPU time
 *   hold MB                   fills so much memory, for a while
 *   pool N MS                 has N children that use so much CPU time each, and waits for them
 *   many N                    does the rest in N children at once, each with a number and an end of its own
 *   inside                    does the rest in a new pid namespace; 77 where that is not permitted
 *   exec ...                  becomes this program again, with the rest
 *   become ...                becomes another program, which the rest names
 *   return N, exit N, _exit N, kill N, segv, thread N
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static int kind = SOCK_STREAM;
static uint32_t number;

static void fail(const char *what) {
  perror(what);
  _exit(99);
}

static uint64_t began;

/* A number as protobuf has it; those of today's times have nine bytes. */
static void put_varint(char *at, uint64_t value) {
  for (; value >= 128; value >>= 7) *at++ = value | 128;
  *at = value;
}

static int forked(void) {
  int child = fork();
  if (child < 0) fail("fork");
  return child;
}

static void say(const char *file, int later_ms) {
  static char frame[1 << 20];
  int from = open(file, O_RDONLY);
  ssize_t length = read(from, frame, sizeof frame);
  if (from < 0 || length <= 0) fail(file);
  close(from);
  static const char id[16] = "\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee\xee";
  char *at = memmem(frame, length, id, sizeof id);
  if (at)
    for (int byte = 0; byte < 4; byte++) at[12 + byte] = number >> (24 - 8 * byte);
  char placeholder[9];
  put_varint(placeholder, 1111111111111111111);
  at = memmem(frame, length, placeholder, sizeof placeholder);
  if (at) put_varint(at, began);
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  strncpy(to.sun_path, path, sizeof to.sun_path - 1);
  int socket_to = socket(AF_UNIX, kind | SOCK_CLOEXEC, 0);
  if (connect(socket_to, (struct sockaddr *)&to, sizeof to)) fail("connect");
  int is_child = later_ms && !forked();
  if (is_child) usleep(later_ms * 1000);
  if (is_child || !later_ms)
    if (send(socket_to, frame, length, MSG_NOSIGNAL) != length) fail("send");
  close(socket_to);
  if (is_child) _exit(0);
}

static void *end_from_thread(void *status) {
  usleep(20000);
  _exit((int)(intptr_t)status);
}

static void end_by(int signal_number) {
  struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  signal(signal_number, SIG_DFL);
  kill(getpid(), signal_number);
  for (;;) pause();
}

static void burn(long ms) {
  struct timespec used;
  do
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  while (used.tv_sec * 1000 + used.tv_nsec / 1000000 < ms);
}

int main(int argc, char **argv) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  began = now.tv_sec * 1000000000ull + now.tv_nsec;
  for (int at = 1; at < argc; at++) {
    const char *word = argv[at];
    const char *next = at + 1 < argc ? argv[at + 1] : "0";
    if (!strcmp(word, "stream") || !strcmp(word, "dgram")) {
      kind = *word == 's' ? SOCK_STREAM : SOCK_DGRAM;
      path = next;
      at++;
    } else if (!strcmp(word, "number")) {
      number = atoi(next);
      at++;
    } else if (!strcmp(word, "send")) {
      say(next, 0);
      at++;
    } else if (!strcmp(word, "late")) {
      say(argv[at + 2], atoi(next));
      at += 2;
    } else if (!strcmp(word, "sleep")) {
      usleep(atoi(next) * 1000);
      at++;
    } else if (!strcmp(word, "burn")) {
      burn(atol(next));
      at++;
    } else if (!strcmp(word, "hold")) {
      size_t size = (size_t)atol(next) << 20;
      char *block = malloc(size);
      if (!block) fail("malloc");
      memset(block, 1, size);
      usleep(1600000);
      free(block);
      at++;
    } else if (!strcmp(word, "pool")) {
      int count = atoi(next);
      for (int index = 0; index < count; index++)
        if (!forked()) {
          burn(atol(argv[at + 2]));
          _exit(0);
        }
      while (wait(NULL) > 0) {}
      at += 2;
    } else if (!strcmp(word, "many")) {
      int count = atoi(next), gate[2];
      at++;
      if (pipe(gate)) fail("pipe");
      for (int index = 0; index < count; index++) {
        number = index;
        if (forked()) continue;
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) < 0) fail("gate");
        while (++at < argc && strcmp(argv[at], "send")) {}
        say(argv[at + 1], 0);
        switch (index % 5) {
          case 0: return 0;
          case 1: exit(3);
          case 2: _exit(4);
          case 3: end_by(SIGKILL);
          default: end_by(SIGSEGV);
        }
      }
      close(gate[1]);
      while (wait(NULL) > 0) {}
      return 0;
    } else if (!strcmp(word, "inside")) {
      if (unshare(CLONE_NEWPID) && unshare(CLONE_NEWUSER | CLONE_NEWPID)) return 77;
      int status, child = forked();
      if (child) {
        waitpid(child, &status, 0);
        return WIFEXITED(status) && WEXITSTATUS(status) == 99 ? 99 : 0;
      }
    } else if (!strcmp(word, "exec")) {
      argv[at] = argv[0];
      execv("/proc/self/exe", argv + at);
      fail("execv");
    } else if (!strcmp(word, "become")) {
      execvp(next, argv + at + 1);
      fail(next);
    } else if (!strcmp(word, "return")) {
      return atoi(next);
    } else if (!strcmp(word, "exit")) {
      exit(atoi(next));
    } else if (!strcmp(word, "_exit")) {
      _exit(atoi(next));
    } else if (!strcmp(word, "kill")) {
      end_by(atoi(next));
    } else if (!strcmp(word, "segv")) {
      struct rlimit no_core = {0, 0};
      setrlimit(RLIMIT_CORE, &no_core);
      *(volatile int *)0 = 1;
    } else if (!strcmp(word, "thread")) {
      pthread_t thread;
      pthread_create(&thread, NULL, end_from_thread, (void *)(intptr_t)atoi(next));
      pthread_exit(NULL);
    } else {
      fprintf(stderr, "no such word: %s\n", word);
      _exit(99);
    }
  }
  return 0;
}
