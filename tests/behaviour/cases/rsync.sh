# rsync of a tree, by its own second process.
# needs: rsync
# run:
mkdir a; echo one > a/x; ln -s x a/y; rsync -a a/ b/; ls b; cat b/y; rsync nowhere c 2>/dev/null; echo "status $?"
