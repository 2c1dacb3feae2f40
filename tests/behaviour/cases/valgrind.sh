# valgrind finds a program's own errors and none of ours.
# needs: valgrind gcc
# mode: preload
# prepare:
printf '#include <stdlib.h>\nint main(void){char *p = malloc(10); p[10] = 1; return 0;}\n' > v.c; gcc -g v.c -o v
# run:
valgrind -q --error-exitcode=7 ./v 2>&1 | sed 's/==[0-9]*==//; s/0x[0-9A-Fa-f]*//g;s/Address [0-9a-fA-F]* /Address /'; valgrind -q --error-exitcode=7 ./v >/dev/null 2>&1; echo "status $?"
