# The working directory is gone.
# run:
mkdir gone; cd gone; rmdir ../gone; /bin/echo here; /bin/true; echo "status $?"
