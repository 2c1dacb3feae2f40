# python: a virtual environment.
# needs: /usr/bin/python3
# prepare:
mkdir -p v/bin; ln -s /usr/bin/python3 v/bin/python; printf 'home = /usr/bin\n' > v/pyvenv.cfg
# run:
v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'; echo "status $?"
