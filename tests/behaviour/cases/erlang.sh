# Erlang: threads of its own, and a port that runs a program.
# needs: erl
# full: yes
# run:
erl -noshell -eval 'io:format("~p ~s", [lists:sum(lists:seq(1, 100)), os:cmd("echo child")]), halt(3).' 2>&1; echo "status $?"
