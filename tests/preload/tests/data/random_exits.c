/* Processes that end in random ways while their threads do random things.
 *
 *   random_exits run SEED COUNT LIBRARY    starts COUNT processes, some at a time
 *   random_exits end SEED LIBRARY          one of them
 *
 * `run` sets the variables EXITS_LOADED_BY and EXITS_LOADS in the environment of each process: how
 * our library is loaded, and from where. It prints each process that did not end as its seed says,
 * or not within half a minute, and last the number of processes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { AT_ONCE = 4, PATIENCE_S = 30, SMALL_STACK = 16384 };

enum way {
    RETURN, EXIT, UNDERSCORE_EXIT, QUICK_EXIT, ABORT, KILL, TERMINATE, FAULT, EXEC, EXEC_ITSELF,
    EXIT_IN_THREAD, EXIT_WITHOUT_MAIN, EXIT_IN_HANDLER, EXIT_IN_CONTEXT, EXIT_IN_ATEXIT, WAYS
};

enum work { OPEN_AND_CLOSE, ALLOCATE, WALK, WALK_AND_STAY, FORK, LOCK, WORKS };

struct plan {
    enum way way;
    int code;
    int threads;
    enum work works[3];
    int forks;
    unsigned pause_us;
};

static const char *library;
static int ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int code_of_main;

static uint64_t next(uint64_t *state) {
    uint64_t x = *state += 0x9E3779B97F4A7C15ull;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ x >> 27) * 0x94D049BB133111EBull;
    return x ^ x >> 31;
}

static struct plan plan_of(uint64_t seed) {
    struct plan plan = { 0 };
    plan.way = next(&seed) % WAYS;
    plan.code = next(&seed) % 100;
    plan.threads = next(&seed) % 4;
    for (int at = 0; at < plan.threads; at++) plan.works[at] = next(&seed) % WORKS;
    /* Who stays in a walk holds a lock that other walks and dlopen wait for; so does exit. */
    int opens_at_end = plan.way == EXIT_IN_ATEXIT || plan.way == EXIT_WITHOUT_MAIN, stays = 0;
    for (int at = 0; at < plan.threads; at++) {
        if (plan.works[at] == WALK_AND_STAY && !opens_at_end && !stays++)
            plan.works[0] = WALK_AND_STAY;
    }
    for (int at = 0; at < plan.threads; at++)
        if (stays ? at > 0 && plan.works[at] <= WALK_AND_STAY : plan.works[at] == WALK_AND_STAY)
            plan.works[at] = ALLOCATE;
    plan.forks = next(&seed) % 4 == 0;
    plan.pause_us = next(&seed) % 3 ? 0 : next(&seed) % 2000;
    return plan;
}

/* The status that waitpid tells. */
static int status_of(const struct plan *plan) {
    switch (plan->way) {
    case ABORT: return SIGABRT;
    case KILL: return SIGKILL;
    case TERMINATE: return SIGTERM;
    case FAULT: return SIGSEGV;
    case EXEC: return 0;
    default: return plan->code << 8;
    }
}

static int see(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    return info->dlpi_phnum == 0;
}

static int stay(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)info, (void)size, (void)unused;
    __atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
    return pause() == 0;
}

/* A fork, whose child ends by a way that takes no lock. */
static void fork_once(int way) {
    pid_t child = fork();
    if (child == 0) {
        if (way == 0) raise(SIGKILL);
        if (way == 1) execl("/bin/true", "true", (char *)0);
        _exit(0);
    }
    int status;
    while (child > 0 && waitpid(child, &status, 0) < 0) {}
}

static void *work(void *which) {
    enum work work = (enum work)(intptr_t)which;
    void *it = 0;
    if (work == WALK_AND_STAY) dl_iterate_phdr(stay, 0);
    __atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
    for (unsigned round = 0; round + 1; round++) {
        switch (work) {
        case OPEN_AND_CLOSE:
            it = dlopen(library, round % 2 ? RTLD_NOW : RTLD_LAZY);
            if (it) dlclose(it);
            break;
        case ALLOCATE: free(malloc(round % 5000)); break;
        case WALK: dl_iterate_phdr(see, 0); break;
        case FORK: fork_once(round % 3); break;
        default:
            pthread_mutex_lock(&lock);
            usleep(round % 50);
            pthread_mutex_unlock(&lock);
        }
        /* The loader's locks are not fair: who ends must get them, on a busy machine too. */
        if (round % 8 == 0) usleep(round % 64 + 1);
    }
    return it;
}

static void exit_here(int unused) { (void)unused, exit(code_of_main); }
static void exit_in_context(void) { exit(code_of_main); }
static void *exit_in_thread(void *unused) { return exit(code_of_main), unused; }
static void open_at_exit(void) { if (dlopen(library, RTLD_NOW)) usleep(10); }

static void exit_on_another_stack(enum way way) {
    /* Aligned pages of their own. */
    char *stack = aligned_alloc(4096, SMALL_STACK);
    if (way == EXIT_IN_CONTEXT) {
        static ucontext_t here, there;
        getcontext(&there);
        there.uc_stack.ss_sp = stack;
        there.uc_stack.ss_size = SMALL_STACK;
        there.uc_link = 0;
        makecontext(&there, exit_in_context, 0);
        swapcontext(&here, &there);
    }
    stack_t alternate = { .ss_sp = stack, .ss_size = SMALL_STACK };
    sigaltstack(&alternate, 0);
    struct sigaction action = { .sa_handler = exit_here, .sa_flags = SA_ONSTACK };
    sigaction(SIGUSR1, &action, 0);
    raise(SIGUSR1);
}

static int end(char **arguments, uint64_t seed) {
    struct plan plan = plan_of(seed);
    code_of_main = plan.code;
    pthread_t thread;
    for (int at = 0; at < plan.threads; at++)
        pthread_create(&thread, 0, work, (void *)(intptr_t)plan.works[at]);
    while (__atomic_load_n(&ready, __ATOMIC_ACQUIRE) < plan.threads) sched_yield();
    if (plan.forks) fork_once(plan.code % 3);
    if (plan.pause_us) usleep(plan.pause_us);
    switch (plan.way) {
    case EXIT: exit(plan.code);
    case UNDERSCORE_EXIT: _exit(plan.code);
    case QUICK_EXIT: quick_exit(plan.code);
    case ABORT: abort();
    case KILL: raise(SIGKILL); break;
    case TERMINATE: raise(SIGTERM); break;
    case FAULT: *(volatile int *)(intptr_t)(plan.code % 8) = 1; break;
    case EXEC: execl("/bin/true", "true", (char *)0); break;
    case EXEC_ITSELF: {
        char text[16];
        snprintf(text, sizeof text, "%d", plan.code);
        execl("/proc/self/exe", arguments[0], "code", text, (char *)0);
        break;
    }
    case EXIT_IN_THREAD: pthread_create(&thread, 0, exit_in_thread, 0); pause(); break;
    case EXIT_WITHOUT_MAIN: pthread_create(&thread, 0, exit_in_thread, 0); pthread_exit(0);
    case EXIT_IN_ATEXIT: atexit(open_at_exit); exit(plan.code);
    case EXIT_IN_HANDLER:
    case EXIT_IN_CONTEXT: exit_on_another_stack(plan.way); break;
    default: break;
    }
    return plan.code;
}

struct child { pid_t pid; uint64_t seed; time_t since; };

static void wake(int unused) { (void)unused; }

static int run(char **arguments, uint64_t seed, unsigned long count) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    struct sigaction action = { .sa_handler = wake };
    sigaction(SIGALRM, &action, 0);
    struct itimerval second = { { 1, 0 }, { 1, 0 } };
    setitimer(ITIMER_REAL, &second, 0);
    setenv(getenv("EXITS_LOADED_BY"), getenv("EXITS_LOADS"), 1);
    struct child children[AT_ONCE] = { 0 };
    unsigned long started = 0, ended = 0, bad = 0;
    while (ended < count) {
        for (int at = 0; at < AT_ONCE && started < count; at++) {
            if (children[at].pid) continue;
            char text[32];
            struct child child = { 0, next(&seed), time(0) };
            snprintf(text, sizeof text, "%llu", (unsigned long long)child.seed);
            char *call[] = { arguments[0], "end", text, arguments[4], 0 };
            if (posix_spawn(&child.pid, arguments[0], 0, 0, call, environ)) return 2;
            children[at] = child;
            started++;
        }
        int status;
        pid_t pid = waitpid(-1, &status, 0);
        for (int at = 0; at < AT_ONCE; at++) {
            struct child *child = children + at;
            if (child->pid && child->pid == pid) {
                struct plan plan = plan_of(child->seed);
                if (status != status_of(&plan)) {
                    bad++;
                    printf("seed %llu: way %d, status %#x, not %#x\n", (unsigned long long)child->seed,
                           plan.way, status, status_of(&plan));
                }
                child->pid = 0;
                ended++;
            } else if (child->pid && time(0) - child->since > PATIENCE_S) {
                printf("seed %llu: hangs\n", (unsigned long long)child->seed);
                kill(child->pid, SIGKILL);
                child->since = time(0);
            }
        }
    }
    printf("%lu ends, %lu of them bad\n", ended, bad);
    return bad != 0;
}

int main(int count, char **arguments) {
    if (count == 3 && !strcmp(arguments[1], "code")) return atoi(arguments[2]);
    if (count == 4 && !strcmp(arguments[1], "end")) {
        library = arguments[3];
        return end(arguments, strtoull(arguments[2], 0, 10));
    }
    if (count == 5 && !strcmp(arguments[1], "run"))
        return run(arguments, strtoull(arguments[2], 0, 10), strtoul(arguments[3], 0, 10));
    return 2;
}
