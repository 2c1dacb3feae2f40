# A stack so small that big buffers would overflow it.
# needs: bash
# run:
bash -c 'for s in 1024 256 160; do ulimit -s $s; /bin/echo stack $s; echo "status $?"; done'
