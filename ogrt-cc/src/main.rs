//! `ogrt-cc`, `ogrt-c++`, `ogrt-fc`: the real compiler, and on a final link a way for the driver to
//! find `ogrt-ld`.
//!
//! This program ends in one `exec`. It waits only when it tries a driver that it has not seen
//! before, prints nothing of its own if there is a real compiler, and leaves a line that does not
//! link exactly as it was.

mod which_compiler;

use ogrt_wrap::environment;
use ogrt_wrap::line::driver_line::{DriverJob, driver_job};
use ogrt_wrap::line::probes;
use ogrt_wrap::tool::driver_command;
use ogrt_wrap::tool::find_tool::{FindToolError, Finder};
use ogrt_wrap::tool::route::{self, Route};
use ogrt_wrap::tool::run_tool::Call;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::ExitCode;
use which_compiler::{Compiler, which_compiler};

const CALLED_VARIABLE: &str = "OGRT_CC_CALLED";

/// musl's own allocator asks the system for every few pages, and gives them back at once
/// (docs/decisions/0008-memory-of-the-wrappers.md).
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    match compile(&argv) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("ogrt-cc: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why no compiler could be run. No other failure of ours stops a build.
#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("cannot find the real compiler: {0}")]
    Find(#[from] FindToolError),
    #[error("cannot run {path}: {source}", path = path.display())]
    Run { path: PathBuf, source: std::io::Error },
    #[error("there is no linker wrapper at {path}: install OGRT again (the link fails because OGRT_STRICT is set)", path = path.display())]
    NoLinkerWrapper { path: PathBuf },
}

/// argv -> which compiler? -> does it link? -> can it be led to `ogrt-ld`? -> become the compiler.
fn compile(argv: &[OsString]) -> Result<std::convert::Infallible, CompileError> {
    let argv0 = argv.first().map_or(OsStr::new("ogrt-cc"), OsString::as_os_str);
    let finder = Finder::new(CALLED_VARIABLE).also_ours(argv0);
    let words = argv.get(1..).unwrap_or_default();
    let Compiler { path, driver, before, arguments } = which_compiler(argv0, words, &finder)?;
    let unchanged = [before, arguments].concat();

    let untouched = || Call {
        program: &path,
        argv0: path.as_os_str(),
        arguments: &unchanged,
        set: vec![finder.guard(&path)],
        removed: &[],
    };
    if environment::is_on("OGRT_DISABLE") || driver_job(arguments) == DriverJob::Other || is_probe(arguments)
    {
        return Err(run_error(&path, untouched().exec()));
    }
    let linkers = linker_dir();
    let route = linkers.as_deref().and_then(|linkers| Route::to(linkers, arguments));
    let (Some(linkers), Some(route)) = (linkers, route) else {
        if environment::is_on("OGRT_STRICT") {
            return Err(CompileError::NoLinkerWrapper { path: "../libexec/ogrt/ld".into() });
        }
        return Err(run_error(&path, untouched().exec()));
    };

    let mut set = vec![finder.guard(&path)];
    let words = std::iter::once(driver.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    if route.leads_to_us(&driver, arguments, &set) {
        set.push((driver_command::VARIABLE, driver_command::encode(&driver, words)));
        set.extend(route.linker.map(|linker| (driver_command::LINKER_VARIABLE, linker.into_os_string())));
        let routed = [before, &route.front, arguments, &route.back].concat();
        // This fails only for a line at the system's limit of length, which is short enough without
        // our options.
        let _ = Call { arguments: &routed, set, ..untouched() }.exec();
    } else if route::answers(&linkers.join("ld")) {
        // `ogrt-ld` runs the driver with the note on its line, and registers the link. A launcher
        // is left out: it adds nothing to a link.
        let words: Vec<OsString> = words.map(OsStr::to_owned).collect();
        let program = linkers.join("ld");
        let argv0 = OsStr::new(driver_command::LINK_BY_DRIVER);
        let _ = Call { program: &program, argv0, arguments: &words, set, removed: &[] }.exec();
    }
    Err(run_error(&path, untouched().exec()))
}

/// The line is a configure script's question. The driver then runs as it would without us, also in
/// what it prints about itself.
fn is_probe(arguments: &[OsString]) -> bool {
    probes::is_probe_command(arguments, &std::env::current_dir().unwrap_or_default())
}

/// `../libexec/ogrt`, seen from the real directory of this program.
fn linker_dir() -> Option<PathBuf> {
    let program = std::fs::read_link("/proc/self/exe").ok()?;
    Some(program.parent()?.parent()?.join("libexec/ogrt"))
}

fn run_error(path: &std::path::Path, source: std::io::Error) -> CompileError {
    CompileError::Run { path: path.to_owned(), source }
}
