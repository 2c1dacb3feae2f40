# A library of the user's after ours in LD_PRELOAD still interposes, a missing one still warns.
# needs: gcc
# prepare:
printf 'int atoi(const char *s) { (void)s; return 77; }\n' > u.c; gcc -shared -fPIC u.c -o libu.so
printf '#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v){printf("%%d\\n", (atoi)(v[1]));}\n' > p.c; gcc -fno-builtin p.c -o p
# run:
LD_PRELOAD="$LD_PRELOAD $PWD/libu.so" ./p 5; LD_PRELOAD="$LD_PRELOAD:/nowhere/libx.so" ./p 6; echo "status $?"
