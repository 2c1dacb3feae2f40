# Plain programs under LD_AUDIT, with dlopen.
# needs: python3 bash
# mode: audit
# run:
bash -c 'echo audit; exit 3'; echo "status $?"; python3 -c 'import ctypes, json, zlib; print(zlib.crc32(b"x"))'
