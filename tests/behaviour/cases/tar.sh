# tar and gzip through a pipe, with an error.
# needs: tar gzip
# run:
mkdir d; for i in 1 2 3; do echo $i > d/$i; done; touch -d @0 d d/*
tar --sort=name -czf d.tgz d; tar -tzf d.tgz; tar -xf missing.tar; echo "status $?"; rm d.tgz
