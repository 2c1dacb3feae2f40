# Arguments and a directory that are not UTF-8.
# run:
d=$(printf 'd\377\376'); mkdir "$d"; cd "$d"; /bin/echo "$(printf 'caf\351')" | od -c; /bin/pwd | od -c | tail -2; cd ..; rmdir "$d"
