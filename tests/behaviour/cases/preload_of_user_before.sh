# A library of the user's before ours in LD_PRELOAD still interposes.
# needs: gcc
# prepare:
printf 'int puts(const char *s); int atoi(const char *s) { (void)s; return 77; }\n' > u.c; gcc -shared -fPIC u.c -o libu.so
printf '#include <stdio.h>\n#include <stdlib.h>\nint main(int c, char **v){printf("%%d\\n", (atoi)(v[1]));}\n' > p.c; gcc -fno-builtin p.c -o p
# run:
LD_PRELOAD="$PWD/libu.so:$LD_PRELOAD" ./p 5; echo "status $?"
