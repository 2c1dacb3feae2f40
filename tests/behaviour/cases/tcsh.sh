# tcsh: a loop, a pipe and a status.
# needs: tcsh
# run:
tcsh -f -c 'foreach x (a b); echo $x; end; echo piped | cat; exit 3'; echo "status $?"
