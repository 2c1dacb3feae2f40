//! ogrt-ld
fn main() {}
