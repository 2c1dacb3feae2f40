# A full file system as working directory and spool.
# needs: unshare mount
# run:
unshare -m sh -c 'mkdir m; mount -t tmpfs -o size=16k none m; cd m; cat /dev/zero > fill 2>/dev/null; mkdir -p spool; OGRT_SPOOL_DIR=$PWD/spool /bin/echo full; echo "status $?"; ls spool; cd ..; umount m; rmdir m'
