# SBCL starts itself again without address randomisation, and maps memory where it wants it.
# needs: sbcl
# full: yes
# run:
sbcl --noinform --non-interactive --no-userinit --eval '(progn (format t "~a~%" (expt 3 40)) (run-program "/bin/echo" (list "child") :output t) (exit :code 3))' 2>&1; echo "status $?"
