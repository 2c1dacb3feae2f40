# sqlite3: a database with a journal, read back.
# needs: sqlite3
# run:
sqlite3 d.db 'create table t(a); insert into t values (1),(2); select sum(a) from t'; sqlite3 d.db .dump; sqlite3 d.db 'nonsense' 2>&1; echo "status $?"; rm d.db
