# fakeroot sets LD_PRELOAD itself.
# needs: fakeroot
# run:
touch f; fakeroot sh -c 'chown 12:13 f; stat -c %u:%g f'; echo "status $?"
