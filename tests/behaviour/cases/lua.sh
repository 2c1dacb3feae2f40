# lua: popen, os.execute and os.exit.
# needs: lua5.4
# run:
lua5.4 -e 'print(io.popen("echo sub"):read()); print(os.execute("exit 3")); os.exit(5, true)'; echo "status $?"
