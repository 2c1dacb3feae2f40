# perl: fork, a pipe, a signal, END.
# needs: perl
# run:
perl -e '$| = 1; $p = fork; if (!$p) { kill 9, $$ } waitpid $p, 0; print $? & 127, "\n"; open P, "-|", "echo sub"; print <P>; END { print "end\n" } exit 3'; echo "status $?"
