# Perl writes over its arguments when a script sets its name.
# needs: perl
# run:
perl -e '$0 = "a title " . "x" x 200; open my $f, "<", "/proc/self/cmdline"; print substr(<$f>, 0, 12), "\n"; open $f, "<", "/proc/self/comm"; print <$f>; exit 3'; echo "status $?"
