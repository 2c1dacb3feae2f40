# perl: fork, wait, %ENV, die.
# needs: perl
# run:
perl -e 'my $p = fork; if (!$p) { print "child\n"; exit 9 } wait; print $? >> 8, "\n"; print `echo from a shell`; die "dead\n"'
echo "status $?"
