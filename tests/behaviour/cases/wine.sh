# Wine runs a program of Windows: a loader of its own, and a server in the background.
# needs: /usr/lib/wine/wine64 x86_64-w64-mingw32-gcc
# full: yes
# prepare:
printf '#include <stdio.h>\nint main(void) { puts("from Windows"); return 3; }\n' > p.c; x86_64-w64-mingw32-gcc p.c -o p.exe
export WINEPREFIX=$PWD/wine WINEDEBUG=-all; /usr/lib/wine/wine64 ./p.exe > /dev/null 2>&1; /usr/lib/wine/wineserver64 -w
# run:
export WINEPREFIX=$PWD/wine WINEDEBUG=-all; timeout 60 /usr/lib/wine/wine64 ./p.exe 2>&1; echo "status $?"; timeout 60 /usr/lib/wine/wineserver64 -w; rm -rf wine .cache .local .config
