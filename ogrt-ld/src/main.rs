//! `ogrt-ld`: stands where the linker is looked for, marks final links, registers them.
//!
//! The one rule: the link comes out as it would without us. Everything of ours can fail, and then the real linker
//! runs with the line as it was. Only a missing linker, and `OGRT_STRICT=1`, make us say something.

mod link;
mod model;
mod which_linker;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    // A panic of ours is handled like any failure of ours, in silence.
    std::panic::set_hook(Box::new(|_| {}));
    let argv: Vec<OsString> = std::env::args_os().collect();
    match link::link(&argv) {
        Ok(status) => ogrt_wrap::run_tool::end_like(status),
        Err(error) => {
            eprintln!("ogrt-ld: {error}");
            ExitCode::FAILURE
        }
    }
}
