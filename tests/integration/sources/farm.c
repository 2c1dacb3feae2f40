/* A rank of a farm: its label is the first word, the others say what it does besides.
   Without MPI where PLAIN is defined. */
#ifndef PLAIN
#include <mpi.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int has(int count, char **words, const char *word) {
    for (int at = 2; at < count; at++)
        if (!strcmp(words[at], word)) return 1;
    return 0;
}

static void run_helpers(int count, char **words) {
    char line[256];
    if (has(count, words, "system") && system("uname >/dev/null; ( date ) | cat >/dev/null")) exit(3);
    if (has(count, words, "popen")) {
        FILE *helper = popen("( hostname; true ) | cat", "r");
        while (helper && fgets(line, sizeof line, helper)) {}
        if (!helper || pclose(helper)) exit(4);
    }
}

int main(int count, char **words) {
#ifdef PLAIN
    run_helpers(count, words);
    usleep(50000);
#else
    int rank = 1, sum = 0;
    MPI_Comm parent, spawned = MPI_COMM_NULL;
    MPI_Init(&count, &words);
    MPI_Comm_get_parent(&parent);
    run_helpers(count, words);
    if (has(count, words, "spawn") && parent == MPI_COMM_NULL) {
        char label[256], *arguments[] = { label, NULL };
        snprintf(label, sizeof label, "%s-spawned", words[1]);
        MPI_Comm_spawn(words[0], arguments, 2, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &spawned, MPI_ERRCODES_IGNORE);
        MPI_Comm_disconnect(&spawned);
    }
    if (parent != MPI_COMM_NULL) MPI_Comm_disconnect(&parent);
    MPI_Reduce(&rank, &sum, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Finalize();
#endif
    if (has(count, words, "exec")) execlp("true", "true", words[1], (char *)NULL);
    return 0;
}
