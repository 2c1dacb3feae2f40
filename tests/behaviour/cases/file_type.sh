# file tells types, in a sandbox of its own where it was built with one.
# needs: file
# prepare:
printf '#!/bin/sh\necho\n' > script; gzip -n < script > script.gz
# run:
file script script.gz /bin/sh . /no/such; echo "status $?"; file -z --mime script.gz; echo "status $?"
