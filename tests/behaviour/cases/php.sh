# PHP: a child process and an exit code.
# needs: php
# full: yes
# run:
php -n -r 'echo 6 * 7, "\n"; passthru("echo child"); register_shutdown_function(function () { echo "shutdown\n"; }); exit(3);'; echo "status $?"
