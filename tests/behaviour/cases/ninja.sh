# ninja: edges side by side, and one that fails.
# needs: ninja
# prepare:
printf 'rule r\n  command = echo $out > $out\nrule f\n  command = exit 3\nbuild a: r\nbuild b: r\nbuild c: f\n' > build.ninja
# run:
ninja -j4 a b > /dev/null; cat a b; ninja c >/dev/null; echo "status $?"; rm -f .ninja_log .ninja_deps
