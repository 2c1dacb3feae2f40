# A network namespace, with no way out.
# needs: unshare
# run:
unshare -n sh -c 'cat /proc/net/dev | wc -l; exit 4'; echo "status $?"; unshare -i -u -m -C true; echo "status $?"
