//! What a driver would run, which it shows with `-###`. So we learn of a link that does not reach
//! us.

use ogrt_wrap::line::link_line::LinkLine;
use ogrt_wrap::line::response_file;
use ogrt_wrap::save_link::{LinkCall, SavedLink};
use ogrt_wrap::tool::ask_tool::{Answer, Question};
use ogrt_wrap::tool::known_tools;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time for an answer of a driver.
const QUESTION_TIME: Duration = Duration::from_secs(10);

/// The longest time for one compilation that is done again for a report.
const COMPILE_TIME: Duration = Duration::from_secs(600);

/// The commands that end in a link.
#[derive(Debug)]
pub struct DriverCommands {
    /// The commands that make what the linker is given.
    pub before: Vec<Vec<OsString>>,
    /// The linker's own command.
    pub linker: Vec<OsString>,
}

impl DriverCommands {
    /// Asks the driver. `None` if it shows no linker.
    pub fn of(driver: &Path, arguments: &[OsString]) -> Option<DriverCommands> {
        let question = std::iter::once(OsString::from("-###")).chain(arguments.iter().cloned()).collect();
        let shown = ask(driver, question)?.stderr;
        let commands = shown.lines().map(|line| response_file::split(line.trim().as_bytes()));
        // `COLLECT_GCC_OPTIONS=...` stands between them.
        let is_command =
            |words: &Vec<OsString>| words.first().is_some_and(|word| !word.as_bytes().contains(&b'='));
        let mut before: Vec<Vec<OsString>> = commands.filter(is_command).collect();
        before.truncate(before.iter().rposition(|words| is_linker(words))? + 1);
        let linker = before.pop()?;
        Some(DriverCommands { before, linker })
    }

    /// Keeps the link for a report. Nobody can name the driver's temporary objects afterwards, so
    /// they are made once more, by the commands that the driver shows, and deleted again.
    pub fn save(&self, base: &Path, working_directory: &Path) -> Option<SavedLink> {
        let mut made: Vec<PathBuf> = Vec::new();
        for command in &self.before {
            let output = command.iter().position(|word| word == "-o").and_then(|at| command.get(at + 1));
            let Some(output) = output.map(PathBuf::from) else { continue };
            // What was there before is not the driver's temporary file; the driver uses some of its
            // own twice.
            if output.exists() && !made.contains(&output) {
                continue;
            }
            let arguments = command[1..].to_vec();
            let _ =
                Question { arguments, set: Vec::new(), patience: COMPILE_TIME }.ask(Path::new(&command[0]));
            if !made.contains(&output) {
                made.push(output);
            }
        }
        let line = LinkLine::read(&self.linker[1..]);
        let called = LinkCall {
            linker: Path::new(&self.linker[0]),
            arguments: &self.linker[1..],
            line: &line,
            working_directory,
        };
        let saved = SavedLink::create(base, &called).ok();
        for path in made {
            if let Some(saved) = &saved {
                saved.decide(format_args!("made once more for this report: {}", path.display()));
            }
            let _ = std::fs::remove_file(path);
        }
        saved
    }
}

/// Asks a driver, which runs as if we were not there.
pub fn ask(driver: &Path, arguments: Vec<OsString>) -> Option<Answer> {
    Question { arguments, set: vec![("OGRT_DISABLE", "1".into())], patience: QUESTION_TIME }.ask(driver)
}

fn is_linker(command: &[OsString]) -> bool {
    let program = command.first().and_then(|program| Path::new(program).file_name()?.to_str());
    program.is_some_and(known_tools::is_linker)
}
