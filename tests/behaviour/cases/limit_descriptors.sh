# ulimit -n 3: not one descriptor free.
# needs: bash
# run:
bash -c 'ulimit -n 4; /bin/echo four; ulimit -n 3; /bin/echo three; echo "status $?"'
