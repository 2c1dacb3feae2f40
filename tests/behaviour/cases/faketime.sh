# faketime: a clock that is not the machine's.
# needs: faketime
# run:
faketime '2020-01-02 03:04:05' date +%F; echo "status $?"
