# tclsh: exec, a pipe and an exit code.
# needs: tclsh
# run:
echo 'puts [exec echo sub]; puts [exec seq 9 | tail -1]; catch {exec sh -c "exit 3"} m o; puts [dict get $o -errorcode]; exit 8' | sed 's/CHILDSTATUS [0-9]*/CHILDSTATUS/' > t.tcl; tclsh t.tcl | sed 's/CHILDSTATUS [0-9]*/CHILDSTATUS/'; tclsh t.tcl >/dev/null; echo "status $?"
