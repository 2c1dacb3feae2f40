//! `mold -run COMMAND` where our `mold` is found on PATH: see `ogrt_wrap::tool::mold_run`.

use crate::link_request::LinkError;
use ogrt_wrap::environment;
use ogrt_wrap::tool::find_tool::{self, Finder, dirs_of};
use ogrt_wrap::tool::known_tools;
use ogrt_wrap::tool::mold_run::{BEFORE_COMMAND_VARIABLE, led_to};
use ogrt_wrap::tool::run_tool::Call;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Becomes the real `mold -run`, or the command that it runs. Returns if we were called for
/// neither.
pub fn become_command(argv: &[OsString]) -> Result<(), LinkError> {
    let [argv0, rest @ ..] = argv else { return Ok(()) };
    if environment::var(BEFORE_COMMAND_VARIABLE).is_some() {
        return command(argv0, rest);
    }
    let is_mold = Path::new(argv0).file_name() == Some(OsStr::new("mold"));
    match rest {
        [option, command, ..] if is_mold && (option == "-run" || option == "--run") => {
            real_mold(argv0, rest, !is_linker(command))
        }
        _ => Ok(()),
    }
}

/// Becomes the real mold, which starts us before the command. A linker as the command is mold's
/// own affair.
fn real_mold(argv0: &OsStr, rest: &[OsString], leads: bool) -> Result<(), LinkError> {
    let finder = Finder::new("OGRT_LD_CALLED").also_ours(argv0);
    let mold = finder.find_behind_us(OsStr::new("mold"), argv0)?;
    let program = find_tool::our_program(argv0).filter(|_| leads);
    let mut arguments = rest.to_vec();
    let mut set = vec![finder.guard(&mold)];
    if let Some(program) = program {
        arguments.insert(1, program.into());
        set.push((BEFORE_COMMAND_VARIABLE, "1".into()));
    }
    let source = Call { program: &mold, argv0, arguments: &arguments, set, removed: &[] }.exec();
    Err(LinkError::Run { path: mold, source })
}

/// Becomes the command, with us in mold's place.
fn command(argv0: &OsStr, command: &[OsString]) -> Result<(), LinkError> {
    let (name, arguments) = command.split_first().ok_or(LinkError::NoDriver)?;
    let path = on_path(name);
    let set = find_tool::our_program(argv0).map(|program| led_to(&program)).unwrap_or_default();
    let removed = &[BEFORE_COMMAND_VARIABLE, "OGRT_LD_CALLED"];
    let source = Call { program: &path, argv0: name, arguments, set, removed }.exec();
    Err(LinkError::Run { path, source })
}

fn on_path(name: &OsStr) -> PathBuf {
    if Path::new(name).components().count() > 1 {
        return name.into();
    }
    let found = dirs_of("PATH").into_iter().map(|dir| dir.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| name.into())
}

fn is_linker(command: &OsStr) -> bool {
    Path::new(command).file_name().and_then(OsStr::to_str).is_some_and(known_tools::is_linker)
}
