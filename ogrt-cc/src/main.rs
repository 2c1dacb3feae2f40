//! ogrt-cc
fn main() {}
