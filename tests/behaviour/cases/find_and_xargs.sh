# find -exec and xargs with several processes at once.
# needs: find xargs
# run:
mkdir -p d/e; touch d/a d/b d/e/c; find d -type f -exec basename {} \; | sort; find d -type f -print0 | xargs -0 -n 1 -P 4 sh -c 'echo ran' _ | sort | uniq -c; echo a b | xargs -n 1 sh -c 'exit 1'; echo "status $?"
