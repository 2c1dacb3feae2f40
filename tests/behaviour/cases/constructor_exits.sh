# A library whose constructor ends the process before main.
# needs: gcc
# prepare:
printf '#include <stdlib.h>\n__attribute__((constructor)) static void first(void) { exit(5); }\nint touch(void) { return 0; }\n' > l.c
gcc -shared -fPIC l.c -o libends.so
echo 'int touch(void); int main(void) { return touch(); }' > m.c
gcc m.c -L. -lends -Wl,-rpath,'$ORIGIN' -o m
# run:
./m; echo "status $?"
