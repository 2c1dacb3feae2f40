//! `ogrt run`: one command, tracked.

use crate::{
    event_server,
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

const EXAMPLES: &str = "Examples:\n\
\x20 ogrt run ./a.out --an-option-of-its-own\n\
\x20 ogrt run -- mpirun -n 4 ./solver input.dat";

/// Run a command tracked: with libogrt.so preloaded and OGRT_ACTIVE=1.
///
/// A user's own LD_PRELOAD is kept, in front. A host name in OGRT_SERVER is looked up, because
/// programs do not. Where programs cannot send events to the server, the command is run all the
/// same, and a line on standard error says so.
///
/// Exit status: that of the command; 127 there is no such command, 126 it cannot be run, 2
/// libogrt.so was not found.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct RunCommand {
    /// The command and its arguments.
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

impl RunCommand {
    /// Becomes the command. Returns only where that fails.
    pub fn run(self) -> ExitCode {
        let library = match preload_library::find() {
            Ok(library) => library,
            Err(error) => {
                complain(format_args!("{error:#}"));
                return ExitStatus::Error.into();
            }
        };
        let server = event_server::from_environment().and_then(|server| {
            event_server::for_programs(&server).map_err(complain).ok().filter(|address| *address != server)
        });
        let Some((program, arguments)) = self.command.split_first() else { return ExitStatus::Error.into() };
        let preload = preload_library::append(env::var_os("LD_PRELOAD").as_deref(), library.as_os_str());
        let mut command = Command::new(program);
        // Programs look up no names.
        command.envs(server.map(|address| ("OGRT_SERVER", address)));
        let error = command.args(arguments).env("LD_PRELOAD", preload).env("OGRT_ACTIVE", "1").exec();
        complain(format_args!("{}: {error}", program.display()));
        ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
    }
}
