# socat: a program behind a socket, with a terminal of its own.
# needs: socat
# run:
echo hello | socat - EXEC:cat; socat -u EXEC:'echo out',pty,raw -; echo "status $?"
