# zsh: arrays, a pipe, a trap at the end.
# needs: zsh
# run:
zsh -fc 'a=(3 1 2); print -l ${(o)a} | tail -n 1; trap "echo bye" EXIT; (exit 4); echo $?; exit 5'; echo "status $?"
