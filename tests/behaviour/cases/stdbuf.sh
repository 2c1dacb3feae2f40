# stdbuf puts a library of its own into LD_PRELOAD.
# needs: stdbuf
# run:
stdbuf -oL -i0 sh -c 'echo "$LD_PRELOAD" | tr : "\n" | grep -c stdbuf; echo one; exit 3'; echo "status $?"; stdbuf -o0 printf 'a%sb\n' c | cat
