# Programs that change a thing and execute another.
# needs: nice ionice chrt taskset stdbuf nohup setsid prlimit timeout
# run:
nice -n 3 nice; ionice -c 3 true; chrt -b 0 true; taskset 1 true; stdbuf -o0 echo x; nohup echo y 2>/dev/null; setsid -w sh -c 'exit 3'; echo "status $?"; prlimit --nofile=64 sh -c 'ulimit -n'; timeout 0.05 sleep 5; echo "status $?"
