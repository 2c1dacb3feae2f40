# ulimit -v, as small as the program still starts with.
# needs: bash
# run:
bash -c 'ulimit -v 20000; /bin/echo small; echo "status $?"; ulimit -v 3000; /bin/echo smaller; echo "status $?"'
