# A gcc UndefinedBehaviorSanitizer program says what it found.
# needs: gcc
# prepare:
cat > p.c <<'X'
int main(int c, char **v) { (void)v; return (2147483646 + c + c) & 1; }
X
gcc p.c -o p -fsanitize=undefined
# run:
./p 2>&1; echo "status $?"
