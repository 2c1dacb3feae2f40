# A gcc AddressSanitizer program runs when we are loaded by LD_AUDIT.
# needs: gcc
# mode: audit
# prepare:
cat > a.c <<'X'
#include <stdio.h>
#include <stdlib.h>
int main(int c, char **v) { char *p = malloc(8); puts("sanitized"); if (c > 1) p[8] = 1; free(p); return 0; }
X
gcc -fsanitize=address a.c -o a
# run:
./a; echo "status $?"; ./a x >/dev/null 2>&1; echo "status $?"
