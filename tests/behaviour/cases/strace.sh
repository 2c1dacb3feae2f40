# strace runs a program and sees its writes.
# needs: strace
# run:
strace -f -qq -e trace=write -e signal=none -o out /bin/echo traced; grep -c traced out; rm out
