# A program that was compiled with --coverage writes its counters when it exits, and adds them up.
# needs: gcc gcov
# prepare:
printf '#include <stdlib.h>\nint main(int c, char **v) { (void)v; if (c > 1) exit(4); return 3; }\n' > p.c
gcc --coverage p.c -o p
# run:
export GCOV_PREFIX=$PWD/out GCOV_PREFIX_STRIP=99; ./p; echo "status $?"; ./p x; echo "status $?"; gcov-dump -l out/*.gcda | grep -i counters
