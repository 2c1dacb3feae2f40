# mksh: a coprocess and a here document.
# needs: mksh
# run:
mksh -c 'cat |& print -p hello; exec 3>&p; exec 3>&-; read -p x; echo $x; cat <<E; exit 6
here
E'; echo "status $?"
