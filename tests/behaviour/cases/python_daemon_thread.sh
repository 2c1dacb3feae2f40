# python: threads that go on when it ends.
# needs: python3
# run:
python3 -c 'import threading, time, zlib
def f():
  while True: zlib.crc32(b"x" * 1000)
for _ in range(3): threading.Thread(target=f, daemon=True).start()
time.sleep(.05); print("leaving")'; echo "status $?"
