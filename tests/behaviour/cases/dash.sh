# dash with a here-document and a background job.
# needs: dash
# run:
dash -c 'cat <<X
here $((6*7))
X
sleep 0.05 & wait $!; echo $?; kill -0 $$ && echo alive; exit 3'
