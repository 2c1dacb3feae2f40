# A setuid program: the loader drops a preloaded path with a slash, and says nothing.
# needs: gcc setpriv
# prepare:
printf '#include <stdio.h>\n#include <unistd.h>\nint main(void){printf("%%d %%d\\n", getuid() != 0, geteuid()); return 0;}\n' > s.c; gcc s.c -o s; chown root s; chmod 4755 s; chmod 755 . ..
# run:
setpriv --reuid 65534 --clear-groups ./s; echo "status $?"
