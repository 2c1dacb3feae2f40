# A user namespace, and a process namespace below it.
# needs: unshare
# run:
unshare -r id -u; unshare -rpf sh -c 'echo $$; exit 3'; echo "status $?"; unshare -U true; echo "status $?"
