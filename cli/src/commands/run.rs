//! `ogrt run`: one command, tracked.

use crate::{
    exit_status::{ExitStatus, complain},
    preload_library,
};
use clap::Args;
use std::{
    env,
    ffi::OsString,
    io::ErrorKind,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// Run a command tracked: with libogrt.so preloaded and OGRT_ACTIVE=1.
///
/// The command takes the place of this one, so its exit status is the command's own; 127 when there is no such command, 126
/// when it cannot be run. A user's LD_PRELOAD is kept, in front.
#[derive(Args)]
pub struct RunCommand {
    /// The command and its arguments.
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl RunCommand {
    /// Becomes the command. Returns only when that fails.
    pub fn run(self) -> ExitCode {
        let library = match preload_library::find() {
            Ok(library) => library,
            Err(error) => {
                complain(format_args!("{error:#}"));
                return ExitStatus::Error.into();
            }
        };
        let Some((program, arguments)) = self.command.split_first() else { return ExitStatus::Error.into() };
        let preload = preload_library::append(env::var_os("LD_PRELOAD").as_deref(), library.as_os_str());
        let error =
            Command::new(program).args(arguments).env("LD_PRELOAD", preload).env("OGRT_ACTIVE", "1").exec();
        complain(format_args!("{}: {error}", program.display()));
        ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
    }
}
