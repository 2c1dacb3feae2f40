# cmake: a project without a language, and a script.
# needs: cmake
# run:
echo 'execute_process(COMMAND echo sub OUTPUT_VARIABLE o) 
message(STATUS "${o}")' > s.cmake; cmake -P s.cmake; echo "status $?"; cmake -P nowhere >/dev/null 2>&1; echo "status $?"
