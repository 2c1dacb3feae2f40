//! `ogrt-cc`, `ogrt-c++`, `ogrt-fc`: the real compiler, and on a final link a way for the driver to
//! find `ogrt-ld`.
//!
//! This program ends in one `exec`. It waits only when it tries a driver that it has not seen
//! before, prints nothing of its own if there is a real compiler, and leaves a line that does not
//! link exactly as it was.

mod companion_tool;
mod which_compiler;

use ogrt_wrap::complaint::complaint;
use ogrt_wrap::environment;
use ogrt_wrap::line::driver_line::{DriverJob, driver_job};
use ogrt_wrap::line::probes;
use ogrt_wrap::line::response_file;
use ogrt_wrap::tool::driver_command;
use ogrt_wrap::tool::find_tool::{self, FindToolError, Finder};
use ogrt_wrap::tool::route::{self, Crossroads};
use ogrt_wrap::tool::run_tool::Call;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
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
            eprintln!("{}", complaint("ogrt-cc", &error));
            ExitCode::FAILURE
        }
    }
}

/// Why no compiler could be run. No other failure of ours stops a build.
#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("cannot find the real compiler or its tool: {0}")]
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
    if let Some(tool) = companion_tool::tool_of(argv0) {
        let path = companion_tool::find(tool, words, &finder)?;
        let set = vec![finder.guard(&path)];
        let call = Call { program: &path, argv0: path.as_os_str(), arguments: words, set, removed: &[] };
        return Err(run_error(&path, call.exec()));
    }
    let compiler = which_compiler(argv0, words, &finder)?;
    let Compiler { path, driver, before, arguments, command_at } = &compiler;
    let unchanged = [&before[..], arguments].concat();
    let opened = response_file::opened(arguments);

    let untouched = || Call {
        program: path,
        argv0: path.as_os_str(),
        arguments: &unchanged,
        set: vec![finder.guard(path)],
        removed: &[],
    };
    if environment::is_on("OGRT_DISABLE") || driver_job(&opened) == DriverJob::Other || is_probe(arguments) {
        return Err(run_error(path, become_compiler(&untouched())));
    }
    let prefix = prefix(argv0);
    let linkers = prefix.as_deref().map(|prefix| prefix.join("libexec/ogrt"));
    let wrapper = linkers.as_deref().and_then(|linkers| std::fs::metadata(linkers.join("ld")).ok());
    let (Some(linkers), Some(wrapper)) = (linkers, wrapper) else {
        if environment::is_on("OGRT_STRICT") {
            return Err(CompileError::NoLinkerWrapper { path: "../libexec/ogrt/ld".into() });
        }
        return Err(run_error(path, become_compiler(&untouched())));
    };
    if let (Some(at), Some(prefix)) = (command_at, &prefix) {
        // Which compiler runs under which conditions is known only behind these words.
        let (front, command) = unchanged.split_at(*at);
        let behind = [front, &[prefix.join("bin/ogrt-cc").into()], command].concat();
        let _ = Call { arguments: &behind, ..untouched() }.exec();
        return Err(run_error(path, become_compiler(&untouched())));
    }

    let words = std::iter::once(driver.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let guard = finder.guard(path);
    let command = (driver_command::VARIABLE, driver_command::encode(driver, words.clone()));
    let known = [guard.clone(), command];
    let route =
        Crossroads { linkers: &linkers, wrapper: &wrapper, driver, arguments: &opened, set: &known }.route();
    let is_recorded = || route::records_its_line(driver, &opened);
    match route {
        Some(route) if route.leaves_the_line() || !is_recorded() => {
            let routed = [&before[..], &route.front, arguments, &route.back].concat();
            let set = known.into_iter().chain(route.set).collect();
            // This fails only for a line at the system's limit of length, which is short enough
            // without our options.
            let _ = become_compiler(&Call { arguments: &routed, set, ..untouched() });
        }
        None if !is_recorded() && route::answers(&linkers.join("ld")) => {
            // `ogrt-ld` runs the driver with the note on its line, and registers the link. A
            // launcher is left out: it adds nothing to a link.
            let words: Vec<OsString> = words.map(OsStr::to_owned).collect();
            let program = linkers.join("ld");
            let argv0 = OsStr::new(driver_command::LINK_BY_DRIVER);
            let set = vec![guard];
            let _ = Call { program: &program, argv0, arguments: &words, set, removed: &[] }.exec();
        }
        _ => {}
    }
    Err(run_error(path, become_compiler(&untouched())))
}

/// Becomes the compiler. Bear watches by a library in every process, and a static program has none:
/// so where it is at work the compiler is started by a program that has it.
fn become_compiler(call: &Call) -> std::io::Error {
    const STARTER: &str = "/usr/bin/env";
    let is_bears = |name: &OsStr| {
        let name = name.as_encoded_bytes();
        name.starts_with(b"INTERCEPT_") || name.starts_with(b"BEAR_")
    };
    if environment::non_empty("LD_PRELOAD").is_some() && environment::all().iter().any(|(n, _)| is_bears(n)) {
        let arguments = [&[call.program.into()], call.arguments].concat();
        let (program, argv0, set) = (Path::new(STARTER), OsStr::new("env"), call.set.clone());
        let _ = Call { program, argv0, arguments: &arguments, set, removed: call.removed }.exec();
    }
    call.exec()
}

/// The line is a configure script's question. The driver then runs as it would without us, also in
/// what it prints about itself.
fn is_probe(arguments: &[OsString]) -> bool {
    probes::is_probe_command(arguments, &std::env::current_dir().unwrap_or_default())
}

/// The directory above that of this program.
fn prefix(argv0: &OsStr) -> Option<PathBuf> {
    Some(find_tool::our_program(argv0)?.parent()?.parent()?.to_owned())
}

fn run_error(path: &Path, source: std::io::Error) -> CompileError {
    CompileError::Run { path: path.to_owned(), source }
}
