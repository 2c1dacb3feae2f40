# A program that defines environ itself.
# needs: gcc
# prepare:
printf '#include <stdio.h>\n#include <stdlib.h>\nchar **environ;\nint main(void) { char *h = getenv("HOME"); return puts(h ? "home" : "none") < 0; }\n' > own.c
gcc own.c -o own
# run:
./own; echo "status $?"
