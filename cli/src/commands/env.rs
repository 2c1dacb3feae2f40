//! `ogrt env`: the lines that switch tracking on, for a shell or as a module file.
//!
//! They are right wherever they are evaluated: a user's own LD_PRELOAD is kept, in front, and
//! evaluating them twice changes nothing for the programs that follow. A module file takes back
//! what it did when it is unloaded.

use crate::{
    event_server,
    exit_status::{ExitStatus, complain, print},
    preload_library,
};
use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use ogrt_proto::printable::one_line;

const EXAMPLES: &str = "Examples:\n\
\x20 eval \"$(ogrt env)\"                            # sh, bash, zsh\n\
\x20 ogrt env --shell fish | source\n\
\x20 ogrt env --module lua > /sw/modules/ogrt.lua";

/// Print the lines that switch tracking on in a shell, or a module file that does.
///
/// The lines add libogrt.so to LD_PRELOAD and set OGRT_ACTIVE=1. When OGRT_SERVER is set, a module
/// file sets it as well. libogrt.so takes an address with a port or `unix:/path`, and looks up no
/// host names: a name is looked up now, and the lines set its address.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct EnvCommand {
    /// The shell that will evaluate the lines.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,

    /// Print a module file instead.
    #[arg(long, value_enum, conflicts_with = "shell")]
    module: Option<Module>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    /// sh, bash, dash, ksh, zsh
    Sh,
    /// csh, tcsh
    Csh,
    /// fish
    Fish,
}

#[derive(Clone, Copy, ValueEnum)]
enum Module {
    /// Lmod
    Lua,
    /// environment-modules, and Lmod too
    Tcl,
}

impl EnvCommand {
    /// Prints the lines.
    pub fn run(self) -> Result<ExitStatus> {
        let library = preload_library::find()?;
        let library = library.to_str().with_context(|| {
            format!(
                "{}: the path is not UTF-8, so no script can name it; install OGRT elsewhere",
                library.display()
            )
        })?;
        // Programs that send nowhere lose every event, and say nothing.
        let given = event_server::from_environment();
        let server = match given.as_deref().map(event_server::for_programs) {
            Some(Err(problem)) => {
                // A module file would silence everybody who loads it.
                ensure!(self.module.is_none(), problem);
                complain(problem);
                None
            }
            server => server.and_then(Result::ok),
        };
        for text in [Some(library), server.as_deref()].into_iter().flatten() {
            ensure!(one_line(text) == text, "{text}: characters that no script should hold");
        }
        // A shell has the value already, where it needs no other.
        let looked_up = server.as_deref().filter(|server| Some(*server) != given.as_deref());
        print(match (self.module, self.shell) {
            (Some(Module::Lua), _) => lua(library, server.as_deref()),
            (Some(Module::Tcl), _) => tcl(library, server.as_deref()),
            (None, Shell::Sh) => sh(library) + &set(looked_up, "export OGRT_SERVER=", "\n"),
            (None, Shell::Csh) => csh(library) + &set(looked_up, "setenv OGRT_SERVER ", ";\n"),
            (None, Shell::Fish) => fish(library) + &set(looked_up, "set -gx OGRT_SERVER ", ";\n"),
        })?;
        Ok(ExitStatus::Yes)
    }
}

/// The line that sets OGRT_SERVER to an address that was looked up.
fn set(address: Option<&str>, before: &str, after: &str) -> String {
    address.map(|address| format!("{before}{}{after}", quoted(address, ""))).unwrap_or_default()
}

fn sh(library: &str) -> String {
    let library = quoted(library, "'\\''");
    format!(
        "case \":${{LD_PRELOAD-}}:\" in\n  \
         *:{library}:*) ;;\n  \
         *) export LD_PRELOAD=\"${{LD_PRELOAD:+$LD_PRELOAD:}}\"{library} ;;\n\
         esac\n\
         export OGRT_ACTIVE=1\n"
    )
}

/// Lines for csh. Its backquotes turn line ends into spaces, so each line is one `if` and ends in
/// `;`. A leading colon in LD_PRELOAD is an empty entry, which the loader skips.
fn csh(library: &str) -> String {
    let library = quoted(library, "'\\''");
    format!(
        "if ( ! $?LD_PRELOAD ) setenv LD_PRELOAD '';\n\
         if ( \":$LD_PRELOAD\" !~ *:{library}* ) setenv LD_PRELOAD \"$LD_PRELOAD\":{library};\n\
         setenv OGRT_ACTIVE 1;\n"
    )
}

fn fish(library: &str) -> String {
    let library = quoted(&library.replace('\\', "\\\\"), "\\'");
    format!(
        "string match -q -- '*:'{library}':*' \":$LD_PRELOAD:\"; \
         or set -gx LD_PRELOAD (string join : -- $LD_PRELOAD {library});\n\
         set -gx OGRT_ACTIVE 1;\n"
    )
}

/// A module file for Lmod. Its `pushenv` restores the old value when the module is unloaded.
fn lua(library: &str, server: Option<&str>) -> String {
    let server =
        server.map(|server| format!("pushenv(\"OGRT_SERVER\", {})\n", double_quoted(server, "\"\\")));
    format!(
        "help([[Records which programs run, and from which builds they come.]])\n\
         whatis(\"OGRT: tracking of programs\")\n\
         append_path(\"LD_PRELOAD\", {})\n\
         pushenv(\"OGRT_ACTIVE\", \"1\")\n{}",
        double_quoted(library, "\"\\"),
        server.unwrap_or_default()
    )
}

/// A module file for both module tools. `module.tcl` does what `pushenv` does, since the one of
/// environment-modules cannot be relied on.
fn tcl(library: &str, server: Option<&str>) -> String {
    const SPECIAL: &str = "\"\\$[]";
    let server = server.map(|server| format!("put OGRT_SERVER {}\n", double_quoted(server, SPECIAL)));
    format!(
        "{}append-path LD_PRELOAD {}\nput OGRT_ACTIVE 1\n{}",
        include_str!("module.tcl"),
        double_quoted(library, SPECIAL),
        server.unwrap_or_default()
    )
}

/// The text in single quotes, with `quote` for each single quote inside.
fn quoted(text: &str, quote: &str) -> String {
    format!("'{}'", text.replace('\'', quote))
}

/// The text in double quotes, with a backslash before each of `special`.
fn double_quoted(text: &str, special: &str) -> String {
    let inner = text.chars().fold(String::new(), |mut out, c| {
        if special.contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    });
    format!("\"{inner}\"")
}
