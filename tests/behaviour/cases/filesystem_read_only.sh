# A read-only file system as working directory and spool.
# needs: unshare mount
# run:
unshare -m sh -c 'mkdir m; mount -t tmpfs -o ro none m; cd m; OGRT_SPOOL_DIR=$PWD/spool /bin/echo read only; echo x > y; echo "status $?"; cd ..; umount m; rmdir m'
