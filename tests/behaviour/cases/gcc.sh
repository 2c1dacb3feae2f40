# gcc compiles, links, warns and fails.
# needs: gcc
# run:
printf 'int main(void){int unused; return 0;}\n' > a.c; printf 'int main(void){ return x; }\n' > b.c
gcc -Wall a.c -o a -Wl,--build-id=none; echo "status $?"
gcc b.c; echo "status $?"
./a; echo "status $?"
