# A Rust program with threads and a panic.
# needs: rustc
# prepare:
export HOME=${HOME%/*}; cat > r.rs <<'X'
fn main() { let t = std::thread::spawn(|| println!("{:?}", std::env::args().count())); t.join().unwrap(); std::process::exit(13) }
X
RUSTUP_HOME=${RUSTUP_HOME:-/root/.rustup} rustc -Copt-level=1 r.rs -o r
# run:
./r a b; echo "status $?"
