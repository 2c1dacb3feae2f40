# Descriptors 0 to 2 closed in every combination: nothing of ours may land there.
# needs: gcc
# prepare:
cat > fds.c <<'X'
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
int main(int c, char **v) { char t[99] = ""; for (int fd = 0; fd < 6; fd++) strcat(t, fcntl(fd, F_GETFD) >= 0 ? "o" : "-");
  int first = open("/dev/null", O_RDONLY); FILE *f = fopen(v[1], "w"); fprintf(f, "%s first free %d\n", t, first); return fclose(f); }
X
gcc fds.c -o fds
# run:
./fds none; ./fds in <&-; ./fds out >&-; ./fds err 2>&-; ./fds all <&- >&- 2>&-; echo text | ./fds outerr >&- 2>&-
