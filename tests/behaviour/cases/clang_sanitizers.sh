# clang's sanitizers in programs without faults, and the fault that each of them finds.
# needs: clang setarch
# mode: preload
# prepare:
cat > s.c <<'C'
#include <limits.h>
#include <stdlib.h>
int main(int c, char **v) {
  (void)v;
  int *p = malloc(40), x = INT_MAX;
  p[3] = c;
  x = c > 1 ? x + c : 0;
  return p[3] + (x == 9);
}
C
for kind in undefined safe-stack cfi; do
  options=; [ $kind = cfi ] && options='-flto -fvisibility=hidden -fuse-ld=lld'
  clang -g -fsanitize=$kind $options s.c -o $kind 2>/dev/null || rm -f $kind
done; ls > built
# run:
for kind in undefined safe-stack cfi; do [ -x $kind ] || continue; setarch -R ./$kind; echo "$kind $?"; setarch -R ./$kind x 2>&1 | grep -o 'runtime error: .*'; done; cat built
