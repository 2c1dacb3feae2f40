# busybox: its own shell and applets.
# needs: busybox
# run:
busybox sh -c 'busybox seq 3 | busybox wc -l; busybox true && echo yes; exit 9'; echo "status $?"
