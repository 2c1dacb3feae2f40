# Guile: a garbage collector that walks all data of all libraries.
# needs: guile
# full: yes
# run:
guile --no-auto-compile -c '(begin (do ((i 0 (+ i 1))) ((= i 50)) (make-vector 100000 i) (gc)) (display (expt 3 40)) (newline) (system* "/bin/echo" "child") (exit 3))' 2>&1; echo "status $?"
