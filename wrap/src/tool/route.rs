//! The way from a compiler driver to `ogrt-ld`.
//!
//! | way | how | for |
//! |---|---|---|
//! | variable | our directory is the first of COMPILER_PATH | gcc, clang, and what runs them; the line stays as it is, so that nothing that records it names us |
//! | prefix | `-B` at the front of the line | a line or a variable that names another directory first |
//! | path | `--ld-path=` or `-fuse-ld=` at the end | clang with a linker that is given by its path, on the line or in a configuration file |
//!
//! Not every driver can be led. A gcc built `--with-ld=/...`, or with specs that name a linker,
//! searches nowhere. The name does not tell, so a driver is tried once, and the answer is kept: it
//! links nothing, and `ogrt-ld`, when it is called for this, says only that it is there, and which
//! linker it would run. If clang shows that it would run another, that one is kept as well.

use crate::environment;
use crate::line::response_file;
use crate::tool::ask_tool::{KeptAnswer, Question};
use crate::tool::driver_command;
use crate::tool::mold_run;
use crate::tool::steering::Steering;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Set for a driver that is tried: `ogrt-ld` then says [`HERE`] and links nothing.
pub const TRIAL_VARIABLE: &str = "OGRT_LD_TRIAL";

/// What `ogrt-ld` says when it is tried. A line with the linker that it would run follows, if it
/// had to look for one.
pub const HERE: &str = "ogrt-ld is here";

/// The directories that gcc and clang search for their programs.
pub const PATH_VARIABLE: &str = "COMPILER_PATH";

/// The longest time for a trial: a driver may be started by slow scripts.
const TRIAL_TIME: Duration = Duration::from_secs(10);

/// The ways in the order in which they are tried, as they are kept.
const WAYS: [Way; 4] = [Way::Variable, Way::Prefix, Way::LinkerPath, Way::OlderLinkerPath];

/// How a driver is led.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Variable,
    Prefix,
    /// `--ld-path=`.
    LinkerPath,
    /// `-fuse-ld=/...`, for a clang before version 12.
    OlderLinkerPath,
}

/// What leads a driver to us.
#[derive(Debug, Default)]
pub struct Route {
    /// Options for the front of the line, because the first -B wins.
    pub front: Vec<OsString>,
    /// Options for the end of the line, because the last path of a linker counts.
    pub back: Vec<OsString>,
    /// Variables for the driver.
    pub set: Vec<(&'static str, OsString)>,
}

impl Route {
    /// The line is not changed by this route.
    pub fn leaves_the_line(&self) -> bool {
        self.front.is_empty() && self.back.is_empty()
    }
}

/// A driver, and where it is to be led to.
#[derive(Debug)]
pub struct Crossroads<'a> {
    /// `PREFIX/libexec/ogrt`.
    pub linkers: &'a Path,
    /// What `ogrt-ld` is there.
    pub wrapper: &'a Metadata,
    /// The driver.
    pub driver: &'a Path,
    /// The driver's arguments, response files opened.
    pub arguments: &'a [OsString],
    /// Variables that are set for the driver in any case.
    pub set: &'a [(&'static str, OsString)],
}

impl Crossroads<'_> {
    /// The route to `ogrt-ld`; `None` if the driver cannot be led there.
    pub fn route(&self) -> Option<Route> {
        let wrapper = self.wrapper;
        // Another installation is tried again.
        let wrapper = format!("{}-{}-{}-{}", wrapper.dev(), wrapper.ino(), wrapper.size(), wrapper.mtime());
        let steering = Steering::of(self.arguments);
        let subject = steering.words.iter().chain(&steering.circumstances).map(OsString::as_os_str);
        let subject: Vec<&OsStr> = subject.chain([OsStr::new(&wrapper), self.linkers.as_os_str()]).collect();
        let kept = KeptAnswer::about("routes-2", self.driver, &subject);
        if let Some(answer) = kept.as_ref().and_then(KeptAnswer::answer) {
            return self.remembered(&answer);
        }
        let (answer, route) = self.tried(&steering.words);
        if let Some(kept) = kept {
            kept.keep(&answer);
        }
        route
    }

    /// The route of a kept answer: the number of the way, and the linker if we would not find it.
    fn remembered(&self, answer: &str) -> Option<Route> {
        let (way, linker) = answer.split_once(' ').unwrap_or((answer, ""));
        let way = WAYS.get(way.parse::<usize>().ok()?)?;
        Some(self.by(*way, Some(linker).filter(|linker| !linker.is_empty()).map(Path::new)))
    }

    /// Tries the ways, and says what is to be kept.
    fn tried(&self, words: &[OsString]) -> (String, Option<Route>) {
        let shown = self.shown_linker(words);
        for (number, way) in WAYS.into_iter().enumerate() {
            let by_path = matches!(way, Way::LinkerPath | Way::OlderLinkerPath);
            let linker = shown.as_deref().filter(|_| by_path);
            if by_path && linker.is_none() {
                continue;
            }
            let Some(told) = self.leads_to_us(&self.by(way, linker), words) else { continue };
            // A linker that was given to us is not looked for.
            let other = shown.as_deref().filter(|shown| told.as_deref().is_some_and(|told| told != *shown));
            let linker = linker.or(other);
            let answer = match linker.map(Path::to_str) {
                None => number.to_string(),
                Some(Some(path)) => format!("{number} {path}"),
                Some(None) => continue,
            };
            return (answer, Some(self.by(way, linker)));
        }
        (String::new(), None)
    }

    fn by(&self, way: Way, linker: Option<&Path>) -> Route {
        let mut route = Route { set: mold_run::led_to(&self.linkers.join("ld")), ..Route::default() };
        let mut path = |option: &str| {
            let mut word = OsString::from(option);
            word.push(self.linkers.join("ld"));
            route.back.push(word);
        };
        match way {
            Way::Variable => route.set.push((PATH_VARIABLE, self.compiler_path())),
            Way::Prefix => route.front.extend(["-B".into(), self.linkers.into()]),
            Way::LinkerPath => path("--ld-path="),
            Way::OlderLinkerPath => path("-fuse-ld="),
        }
        route.set.extend(linker.map(|linker| (driver_command::LINKER_VARIABLE, linker.into())));
        route
    }

    /// COMPILER_PATH with our directory in front. An empty value is kept: it means the working
    /// directory.
    fn compiler_path(&self) -> OsString {
        let mut path = self.linkers.as_os_str().to_owned();
        if let Some(before) = environment::var(PATH_VARIABLE) {
            path.push(":");
            path.push(before);
        }
        path
    }

    /// Asks the driver to link nothing. `Some` if it runs `ogrt-ld`, with the linker that `ogrt-ld`
    /// found.
    fn leads_to_us(&self, route: &Route, words: &[OsString]) -> Option<Option<PathBuf>> {
        // If the real linker is called after all, it prints its version, and links nothing.
        let nothing = ["-nostdlib", "-Wl,--version", "-o", "/proc/self/no-output", "/dev/null"];
        let mut arguments = [&route.front[..], words, &route.back[..]].concat();
        arguments.extend(nothing.map(OsString::from));
        let mut set = [self.set, &route.set[..]].concat();
        set.push((TRIAL_VARIABLE, "1".into()));
        let answer = Question { arguments, set, patience: TRIAL_TIME }.ask(self.driver)?;
        let mut lines = answer.stdout.lines().skip_while(|line| *line != HERE);
        lines.next()?;
        Some(lines.next().filter(|line| line.starts_with('/')).map(PathBuf::from))
    }

    /// The linker that the driver would run without us, if it says so. gcc shows only `collect2`,
    /// which searches where it is told to by COMPILER_PATH.
    fn shown_linker(&self, words: &[OsString]) -> Option<PathBuf> {
        let mut arguments = vec![OsString::from("-###")];
        arguments.extend(words.iter().cloned());
        arguments.extend(["-o", "/proc/self/no-output", "/dev/null"].map(OsString::from));
        let question = Question { arguments, set: vec![("OGRT_DISABLE", "1".into())], patience: TRIAL_TIME };
        let shown = question.ask(self.driver)?.stderr;
        let command = shown.lines().rev().find(|line| line.starts_with(" \""))?;
        let linker = PathBuf::from(response_file::split(command.trim().as_bytes()).into_iter().next()?);
        let is_ours = || {
            let real = |path: &Path| std::fs::canonicalize(path).ok();
            real(&linker) == real(&self.linkers.join("ld"))
        };
        (linker.is_absolute() && linker.is_file() && linker.file_name()? != "collect2" && !is_ours())
            .then_some(linker)
    }
}

/// The file at `PREFIX/libexec/ogrt/ld` is an `ogrt-ld` that can be run and knows this question.
pub fn answers(wrapper: &Path) -> bool {
    let question =
        Question { arguments: Vec::new(), set: vec![(TRIAL_VARIABLE, "1".into())], patience: TRIAL_TIME };
    question.ask(wrapper).is_some_and(|answer| answer.stdout.lines().next() == Some(HERE))
}

/// The driver writes its own line into files: clang's `-MJ`, and command lines in objects. A route
/// or a note on the line would stand there. gcc records only what its compiler proper is given.
pub fn records_its_line(driver: &Path, arguments: &[OsString]) -> bool {
    const RECORDED: [&str; 6] = [
        "-MJ",
        "-gen-cdb-fragment-path",
        "-frecord-command-line",
        "-grecord-command-line",
        "-frecord-gcc-switches",
        "-grecord-gcc-switches",
    ];
    let is_recorded = arguments.iter().any(|word| {
        let word = word.as_bytes();
        RECORDED.iter().any(|option| word.starts_with(option.as_bytes()))
    });
    is_recorded && {
        let program = std::fs::canonicalize(driver).unwrap_or_else(|_| driver.to_owned());
        !program.file_name().unwrap_or_default().as_bytes().windows(3).any(|part| part == b"gcc")
    }
}
