# setpriv: no new privileges, another user, without groups.
# needs: setpriv
# run:
setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs sh -c 'id -u; exit 2'; echo "status $?"; setpriv --bounding-set -all --inh-caps -all true; echo "status $?"
