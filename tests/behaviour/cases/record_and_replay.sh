# rr records and replays; on a machine without performance counters it says that it cannot.
# needs: rr
# full: yes
# mode: preload
# run:
export _RR_TRACE_DIR=$PWD/traces; rr record -n sh -c 'echo recorded; exit 3' 2>&1 | sed 's/[0-9]\{2,\}/N/g; s/0x[0-9a-f]*/X/g'; [ -e traces/latest-trace ] && rr replay -a 2>&1 | grep -v '^rr:'; rm -rf traces
