# proot: every call of a program goes by a tracer.
# needs: proot
# run:
proot -b /bin:/other /other/echo inside 2>&1; echo "status $?"
