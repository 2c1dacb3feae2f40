# An MPICH run of four ranks.
# needs: mpirun.mpich mpicc.mpich
# prepare:
cat > m.c <<'X'
#include <mpi.h>
#include <stdio.h>
int main(int c, char **v) { int r, n, s; MPI_Init(&c, &v); MPI_Comm_rank(MPI_COMM_WORLD, &r); MPI_Comm_size(MPI_COMM_WORLD, &n); MPI_Reduce(&r, &s, 1, MPI_INT, MPI_SUM, 0, MPI_COMM_WORLD); if (!r) printf("%d ranks, sum %d\n", n, s); MPI_Finalize(); return 0; }
X
mpicc.mpich m.c -o m
# run:
mpirun.mpich -np 4 ./m; echo "status $?"
