# bash with pipelines, substitutions and traps.
# needs: bash
# run:
bash -c 'set -o pipefail; trap "echo bye" EXIT; for i in 1 2 3; do echo $i | sed s/1/one/ | tr a-z A-Z; done; x=$(printf "%s-" a b c); echo "$x"; (exit 7); echo $?'
