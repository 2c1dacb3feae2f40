# setproctitle writes over arguments and environment.
# needs: /usr/bin/python3 /usr/share/doc/python3-setproctitle/copyright
# run:
/usr/bin/python3 -c 'import setproctitle, sys; setproctitle.setproctitle("a title " + "x" * 300); print(open("/proc/self/cmdline").read()[:20]); sys.exit(3)'; echo "status $?"
