# A program in memory, run by its descriptor.
# needs: gcc python3
# prepare:
printf '#include <stdio.h>\nint main(int c, char **v) { puts(v[c - 1]); return 5; }\n' > p.c; gcc p.c -o p
# run:
python3 -c 'import os; f = os.memfd_create("in memory"); os.write(f, open("p", "rb").read()); os.execve(f, ["p", "x"], dict(os.environ))'; echo "status $?"
