# Death by signal, one after another, and no core or file of ours left.
# needs: bash
# run:
ulimit -c 0; for s in HUP INT QUIT ABRT KILL USR1 SEGV PIPE ALRM TERM XCPU XFSZ; do bash -c "kill -$s \$\$" 2>/dev/null; echo "$s $?"; done
