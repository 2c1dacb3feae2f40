# firejail: namespaces and a filter that kills.
# needs: firejail
# full: yes
# run:
firejail --quiet --noprofile --net=none --seccomp sh -c 'echo inside; exit 3' 2>&1; echo "status $?"
