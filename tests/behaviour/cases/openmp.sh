# An OpenMP program.
# needs: gcc
# prepare:
cat > p.c <<'X'
#include <stdio.h>
int main(void) { int sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
for (int i = 0; i < 1000; i++) sum += i;
printf("%d\n", sum); return 3; }
X
gcc p.c -o p -fopenmp
# run:
./p; echo "status $?"
