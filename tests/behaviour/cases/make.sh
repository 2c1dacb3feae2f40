# make with a jobserver, a failing recipe and an environment.
# needs: make
# run:
cat > Makefile <<'X'
all: a b c
a b c: ; @echo made $@ $(V) > $@.out; test $@ != c
X
make -j1 V=1; echo "status $?"
make -k -j4 >/dev/null 2>&1; echo "status $?"; cat *.out
