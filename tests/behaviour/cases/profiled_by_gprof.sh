# A program that was compiled with -pg writes its profile when it exits.
# needs: gcc gprof
# prepare:
cat > p.c <<'C'
#include <stdio.h>
__attribute__((noinline)) int inner(int n) { return n * 3 + 1; }
int main(void) { volatile int sum = 0; for (int i = 0; i < 1000; i++) sum += inner(i); printf("%d\n", sum); return 3; }
C
gcc -O1 -pg -no-pie p.c -o p
# run:
./p; echo "status $?"; gprof -b -q -z ./p gmon.out | grep -o '1000/1000 *main'; rm gmon.out
