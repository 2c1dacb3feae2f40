# A chain of execs in one process, the last one dies by a signal.
# run:
sh -c 'exec sh -c "exec sh -c \"kill -TERM \\\$\\\$\""'; echo "status $?"
