# A Fortran program that writes a file and stops with a code.
# needs: gfortran
# prepare:
cat > p.f90 <<'X'
program p
open(10, file="out")
write(10, *) 42
close(10)
print *, "done"
stop 3
end program
X
gfortran p.f90 -o p
# run:
./p 2>&1; echo "status $?"
