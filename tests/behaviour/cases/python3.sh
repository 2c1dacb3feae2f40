# python3: subprocess, random with a seed, os.environ, an exception with its traceback.
# needs: python3
# run:
python3 -c '
import os, random, subprocess, sys, threading
random.seed(1); print(random.random(), sorted(k for k in os.environ if not k.startswith("OGRT"))[:3])
print(subprocess.run(["/bin/sh", "-c", "echo child; exit 4"], capture_output=True))
t = threading.Thread(target=lambda: print("thread")); t.start(); t.join()
raise SystemExit(5)'
echo "status $?"
python3 -c 'raise ValueError("x")'
