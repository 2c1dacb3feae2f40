# screen: a session that ends by itself.
# needs: screen
# run:
mkdir -m 700 d; SCREENDIR=$PWD/d TERM=vt100 screen -D -m -S t sh -c 'echo in screen > out'; cat out; rm -rf d out
