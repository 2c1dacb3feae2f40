# gzip, xz with threads, bzip2: there and back.
# needs: gzip xz bzip2
# run:
seq 20000 > n; for z in 'gzip -n' 'xz -T4' bzip2; do $z -k n; done; for f in n.*; do case $f in *.gz) gzip -dc $f;; *.xz) xz -dc $f;; *) bzip2 -dc $f;; esac | md5sum; done; echo bad | gzip -d 2>&1; echo "status $?"
