# Emacs without a terminal: a dumped image, and a child.
# needs: emacs
# full: yes
# run:
emacs -Q --batch --eval '(progn (princ (format "%d\n" (expt 3 20))) (princ (shell-command-to-string "echo child")) (kill-emacs 3))' 2>&1; echo "status $?"
