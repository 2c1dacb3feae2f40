# make -j in make -j, with one jobserver.
# needs: make
# prepare:
printf 'all: x y z\nx y z:\n\t@$(MAKE) -s -f sub T=$@\nbad:\n\t@exit 3\n' > Makefile; printf 'all: 1 2 3\n1 2 3:\n\t@echo $(T)$@\n' > sub
# run:
make -s -j4 2>&1 | sort; make -s -k bad >/dev/null 2>&1; echo "status $?"
