# The sequence of rand(), random() and drand48() without a seed.
# needs: gcc
# prepare:
printf '#include <stdio.h>\n#include <stdlib.h>\nint main(void){for(int i=0;i<5;i++)printf("%%d %%ld %%f\\n",rand(),random(),drand48());}\n' > r.c; gcc r.c -o r
# run:
./r; ./r
