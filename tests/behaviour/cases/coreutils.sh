# Small tools that end in odd ways: head breaks a pipe, yes dies of it, timeout kills, env lists.
# run:
yes | head -2; sh -c 'yes; echo "status $?" >&2' | head -1; timeout 0.1 sleep 5; echo "status $?"; find . -maxdepth 0; seq 3 | xargs -P1 -n1 echo n; false; echo $?
