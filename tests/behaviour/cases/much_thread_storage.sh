# A library with a megabyte of thread-local storage.
# needs: gcc
# prepare:
echo '__thread char big[1000000]; char *touch(void) { return big; }' > l.c; echo 'char *touch(void); int main(void) { return touch()[99] + 3; }' > u.c; gcc -shared -fPIC l.c -o libbig.so; gcc u.c -L. -lbig -Wl,-rpath,'$ORIGIN' -o use
# run:
./use; echo "status $?"
