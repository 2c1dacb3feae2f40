# Programs that need thread storage run by LD_AUDIT where the loader has room.
# needs: gcc setarch /usr/lib/x86_64-linux-gnu/libjemalloc.so.2
# mode: audit
# prepare:
echo 'int main(int c, char **v) { (void)v; return c - 1; }' > m.c
for s in thread leak undefined; do gcc -fsanitize=$s m.c -o $s; done; gcc m.c -o plain
# run:
export GLIBC_TUNABLES=glibc.rtld.optional_static_tls=1000000
for s in thread leak undefined; do setarch -R ./$s; echo "$s: status $?"; done
LD_PRELOAD=/usr/lib/x86_64-linux-gnu/libjemalloc.so.2 ./plain; echo "jemalloc: status $?"
