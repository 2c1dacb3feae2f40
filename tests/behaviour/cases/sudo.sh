# sudo drops the variables that name a library.
# needs: sudo
# run:
sudo -n sh -c 'echo "${LD_PRELOAD-none} ${LD_AUDIT-none}"; exit 3'; echo "status $?"
