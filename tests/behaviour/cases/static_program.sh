# A static program: the loader is not involved, so neither are we.
# needs: gcc
# prepare:
printf '#include <stdio.h>\nint main(void){puts("static");return 2;}\n' > s.c; gcc -static s.c -o s
# run:
./s; echo "status $?"
