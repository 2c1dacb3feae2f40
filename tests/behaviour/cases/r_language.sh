# R: its launcher is a script that sets LD_LIBRARY_PATH; a library of Fortran, and a fork.
# needs: R Rscript
# full: yes
# run:
Rscript -e 'm <- matrix(c(2, 1, 1, 3), 2); print(solve(m)); print(unlist(parallel::mclapply(1:3, function(i) i^2))); system("echo from R"); quit(status = 3)'; echo "status $?"
