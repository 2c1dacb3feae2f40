# awk with getline from a command and a pipe.
# needs: awk
# run:
awk 'BEGIN { "echo 5" | getline x; print x * 2; print "b\na" | "sort"; close("sort"); exit 2 }'; echo "status $?"
