# A root without /proc, /dev or /tmp.
# events: none
# needs: gcc chroot ldd
# prepare:
printf '#include <stdio.h>\nint main(void){puts("bare root");return 0;}\n' > p.c; gcc p.c -o p; mkdir -p root
for f in $(ldd p | grep -o '/[^ ]*'); do mkdir -p root${f%/*}; cp $f root$f; done; cp p root/
# run:
mkdir -p "root$(dirname "${LD_PRELOAD:-$LD_AUDIT}")"; cp "${LD_PRELOAD:-$LD_AUDIT}" "root${LD_PRELOAD:-$LD_AUDIT}"; chroot root /p; echo "status $?"; rm -r "root$(dirname "${LD_PRELOAD:-$LD_AUDIT}")"
# Cannot reach the socket from inside.
