# 200 KB of arguments.
# run:
a=$(head -c 2000 /dev/zero | tr '\0' a); set --; i=0; while [ $i -lt 100 ]; do set -- "$@" "$a$i"; i=$((i+1)); done; /bin/echo "$@" | md5sum; echo "status $?"
