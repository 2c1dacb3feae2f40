# A script whose interpreter is a script.
# prepare:
printf '#!/bin/sh\necho "inner: $# $2"; exit 4\n' > inner; printf '#!%s/inner\n' "${PWD%/*}/work" > outer; chmod 755 inner outer
# run:
./outer a b; echo "status $?"
