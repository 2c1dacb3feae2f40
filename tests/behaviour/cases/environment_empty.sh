# env -i: the library is not there any more, and nothing else is.
# events: none
# needs: env
# run:
env -i /usr/bin/env; env -i /bin/sh -c 'set | grep -v -e PWD -e PPID | sort'
