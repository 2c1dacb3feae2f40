//! `ogrt-ld`: stands where the linker is looked for, marks final links, registers them.
//!
//! The one rule: the output of a link is what it would be without us. Everything of ours may fail,
//! the linker may refuse the note, and then the real linker runs with the line as it was. We print
//! something only if there is no linker, or with `OGRT_STRICT=1`.

mod attempt;
mod companion;
mod driver_dry_run;
mod link;
mod link_by_driver;
mod link_by_linker;
mod link_request;
mod make_note;
mod not_marked;
mod note_position;
mod note_trial;
mod ordinary_output;
mod probation;
mod reference_input;
mod registration;
mod run_under_mold;
mod seal_note;
mod static_program;
mod which_linker;

use link_by_driver::LinkByDriver;
use link_by_linker::LinkByLinker;
use ogrt_wrap::complaint::complaint;
use ogrt_wrap::environment;
use ogrt_wrap::settings::Settings;
use ogrt_wrap::tool::{driver_command, route};
use std::ffi::OsString;
use std::process::ExitCode;

/// musl's own allocator asks the system for every few pages, and gives them back at once
/// (docs/decisions/0008-memory-of-the-wrappers.md).
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    // A panic is handled like any failure of ours, in silence.
    std::panic::set_hook(Box::new(|_| {}));
    let argv: Vec<OsString> = std::env::args_os().collect();
    let name = argv.first().map(OsString::as_os_str).unwrap_or_default();
    if name == companion::NAME {
        return if companion::run().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    if environment::var(route::TRIAL_VARIABLE).is_some() {
        println!("{}", route::HERE);
        if let Some(linker) = link_by_linker::searched_linker(name) {
            println!("{}", linker.display());
        }
        return ExitCode::SUCCESS;
    }
    if let Err(error) = run_under_mold::become_command(&argv) {
        eprintln!("{}", complaint("ogrt-ld", &error));
        return ExitCode::FAILURE;
    }
    let settings = Settings::from_environment();
    let linked = if name == driver_command::LINK_BY_DRIVER {
        LinkByDriver::read(&argv).and_then(|way| link::link(&way, &settings))
    } else {
        LinkByLinker::read(&argv, &settings).and_then(|way| link::link(&way, &settings))
    };
    match linked {
        Ok(status) => ogrt_wrap::tool::run_tool::end_like(status),
        Err(error) => {
            eprintln!("{}", complaint("ogrt-ld", &error));
            ExitCode::FAILURE
        }
    }
}
