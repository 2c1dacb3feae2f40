# su and runuser: another user from within.
# needs: su runuser
# run:
su root -c 'echo in; exit 4' </dev/null; echo "status $?"; runuser -u nobody -- id -un; echo "status $?"
