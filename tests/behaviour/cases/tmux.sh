# tmux: a server in the background, and a window that ends.
# needs: tmux
# run:
tmux -S s -f /dev/null new-session -d 'echo in window > out; tmux -S s wait-for -S done; sleep 5'; tmux -S s wait-for done; cat out; tmux -S s kill-server; echo "status $?"; rm -f s out
