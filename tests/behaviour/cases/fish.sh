# fish: a function and a command substitution.
# needs: fish
# run:
fish --no-config -c 'function f; echo got $argv; end; f (echo x; echo y); exit 7' 2>&1; echo "status $?"
