# The loader is called by its name.
# needs: /lib64/ld-linux-x86-64.so.2
# run:
/lib64/ld-linux-x86-64.so.2 /bin/echo by loader; echo "status $?"; /lib64/ld-linux-x86-64.so.2 --library-path . /bin/sh -c 'exit 3'; echo "status $?"
