# jemalloc in the place of malloc, by the user's LD_PRELOAD.
# needs: python3 /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
# mode: preload
# run:
export LD_PRELOAD="${LD_PRELOAD:+$LD_PRELOAD:}/usr/lib/x86_64-linux-gnu/libjemalloc.so.2"; python3 -c 'x = [bytes(n) for n in range(3000)]; print(len(x))'; echo "status $?"
