# ulimit -f 0: a write of ours would be SIGXFSZ.
# needs: bash
# run:
bash -c 'ulimit -f 0; /bin/echo one | cat; /bin/true; echo "status $?"; /bin/sh -c "echo x > big"; echo "status $?"' 2>&1 | sed "s/ [0-9][0-9]* File/ PID File/"
