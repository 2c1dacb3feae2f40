# Chromium without a window: its processes are in namespaces and filters of their own.
# needs: chromium
# full: yes
# prepare:
printf '<html><body><p id="p"></p><script>document.getElementById("p").textContent = 6 * 7</script></body></html>' > page.html
# run:
export HOME=$PWD/home; mkdir -p home; timeout 60 chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --dump-dom "file://$PWD/page.html" 2>/dev/null; echo "status $?"; rm -rf home
