# gdb runs a program to its end and shows its shared libraries' count and a breakpoint.
# needs: gdb gcc
# prepare:
printf '#include <stdio.h>\nvoid stop(void){puts("stop");}\nint main(void){stop();return 3;}\n' > g.c; gcc -g g.c -o g
# run:
gdb -nx -q -batch -ex 'set debuginfod enabled off' -ex 'set startup-with-shell off' -ex 'break stop' -ex run -ex bt -ex continue ./g 2>&1 | grep -v -e 'process [0-9]' -e warning
