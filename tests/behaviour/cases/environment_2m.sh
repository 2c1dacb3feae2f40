# 2 MB of environment, in values of 100 KB.
# needs: python3
# run:
python3 -c '
import os, subprocess
e = dict(os.environ, **{"BIG%d" % i: "x" * 100000 for i in range(15)})
print(subprocess.run(["/bin/sh", "-c", "env | wc -c >/dev/null; echo $BIG3 | wc -c"], env=e, capture_output=True).stdout)'
