# tcc runs a source without a file between.
# needs: tcc
# run:
printf '#include <stdio.h>\nint main(int c, char **v) { puts(v[1]); return 3; }\n' > t.c; tcc -run t.c hello; echo "status $?"
