# A gcc LeakSanitizer program runs, and still finds its leak.
# needs: gcc setarch
# mode: preload
# prepare:
cat > l.c <<'X'
#include <stdlib.h>
int main(int c, char **v) { char *volatile p = malloc(100); if (c < 2) free(p); p = 0; return v[0][0] == 0; }
X
gcc -fsanitize=leak -g l.c -o l
# run:
setarch -R ./l; echo "status $?"; setarch -R ./l leak >/dev/null 2>&1; echo "status $?"
