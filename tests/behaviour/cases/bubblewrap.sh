# bubblewrap: every namespace of its own.
# needs: bwrap
# run:
bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all --hostname box --die-with-parent sh -c 'hostname; echo $$; exit 3'; echo "status $?"; bwrap --ro-bind / / --tmpfs /tmp --chdir / sh -c 'echo inside'; echo "status $?"
