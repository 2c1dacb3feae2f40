# sed in place, grep with a status, diff.
# needs: sed grep diff
# run:
printf 'a\nb\n' > f; sed -i s/a/c/ f; cat f; grep -c z f; echo "status $?"; echo q | diff f -; echo "status $?"
