# Every symbol bound at the start, or none; relocations read-only.
# needs: gcc
# prepare:
printf '#include <math.h>\n#include <stdio.h>\nint main(int c, char **v) { (void)v; printf("%%.3f\\n", sin(c)); return 3; }\n' > p.c; gcc p.c -o now -Wl,-z,now,-z,relro -lm; gcc p.c -o lazy -Wl,-z,lazy -lm
# run:
LD_BIND_NOW=1 ./now; ./lazy; echo "status $?"; LD_BIND_NOT=1 ./lazy; echo "status $?"
