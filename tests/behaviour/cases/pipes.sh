# A closed pipe, a long pipe, and much output.
# run:
yes | head -n 1; seq 300000 | sort -n | tail -n 1; (seq 100000; exit 3) | cat | md5sum; echo x | tee a b c | wc -c
