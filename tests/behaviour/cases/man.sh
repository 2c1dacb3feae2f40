# man formats a page: it starts groff and its like inside a filter that kills.
# needs: man groff
# prepare:
printf '.TH PAGE 1\n.SH NAME\npage \\- a page\n.SH TABLE\n.TS\nl l.\na\tb\n.TE\n' > page.1; gzip -n < page.1 > packed.1.gz
# run:
for page in page.1 packed.1.gz; do MANWIDTH=60 man -l $page 2>&1; echo "status $?"; done; man -Tps -l page.1 2>&1 | head -n 1; whatis no-such-page 2>&1; echo "status $?"
