# ssh prints its version and refuses a host.
# needs: ssh
# run:
ssh -V; ssh -o BatchMode=yes -o ConnectTimeout=1 -p 1 127.0.0.1 true; echo "status $?"
