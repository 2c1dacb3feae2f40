# script: a program on a terminal of its own.
# needs: script
# run:
script -qec 'test -t 1 && echo terminal; exit 3' /dev/null; echo "status $?"
