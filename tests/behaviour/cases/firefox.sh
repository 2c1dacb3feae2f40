# Firefox without a window takes a picture of a page.
# needs: firefox-esr
# full: yes
# prepare:
printf '<html><body style="background: blue"></body></html>' > page.html
# run:
export HOME=$PWD/home; mkdir -p home; timeout 90 firefox-esr --headless --no-remote --profile home --window-size=40,30 --screenshot "$PWD/picture.png" "file://$PWD/page.html" > /dev/null 2>&1; echo "status $?"; head -c 4 picture.png | tail -c 3; rm -rf home
