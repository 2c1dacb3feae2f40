# Plain programs with dlopen.
# needs: python3 bash
# run:
bash -c 'echo audit; exit 3'; echo "status $?"; python3 -c 'import ctypes, json, zlib; print(zlib.crc32(b"x"))'
