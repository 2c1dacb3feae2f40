# rustc compiles; by LD_AUDIT it fails as with any audit library.
# needs: rustc
# mode: preload
# prepare:
echo 'pub fn twice(n: u32) -> u32 { n * 2 }' > l.rs
# run:
for r in "$CARGO_HOME/../.rustup" /root/.rustup "$HOME/.rustup"; do [ -d "$r" ] && export RUSTUP_HOME="$r" && break; done
rustc --crate-type lib --emit metadata -o l.rmeta l.rs 2>&1; echo "status $?"; rm -f l.rmeta
