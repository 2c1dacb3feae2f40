//! A linker's command line, read by a table: is it a final link, and what goes in?
//!
//! One table serves GNU ld, gold, lld, mold and wild, whose options agree where it matters to us.
//! Only options that change our decisions, or take a value that could be mistaken for an input,
//! have a row. Long options are accepted with one dash and with two, with `=` and with the value as
//! the next word, as getopt_long_only does.

use crate::line::{our_note, response_file};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What an option means to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing. The row exists because the option takes a value.
    Skip,
    Output,
    Library,
    LibraryDir,
    Sysroot,
    Emulation,
    /// The format of the inputs after it (`-b`, `--format`).
    InputFormat,
    OutputFormat,
    OrphanHandling,
    /// A linker script that is named by an option.
    LinkerScript,
    /// Another file that shapes the output without being linked: a version script, a list of
    /// symbols.
    Script,
    /// A section gets a fixed address, or pages are not kept apart, as images need it.
    FixedLayout,
    FatalWarnings,
    Shared,
    DependencyFile,
    StaticLibraries,
    SharedLibraries,
    /// All libraries are archives, also those before the option.
    StaticProgram,
    /// The dynamic loader that the program asks for.
    Interpreter,
    PositionIndependent,
    FixedPosition,
    PushState,
    PopState,
    /// The inputs after it are taken only when needed, like members of an archive.
    StartLib,
    EndLib,
    /// The output is an object for a later link.
    Partial,
    /// The linker answers a question, and links nothing.
    Question,
}

/// The forms in which an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Nothing,
    /// One letter with `-lm` or `-l m`.
    Letter,
    /// `--name=value` or `--name value`.
    Word,
    /// `--name=value` and no other form.
    Equals,
}

use Effect::*;
use Value::{Equals, Letter, Nothing, Word};

/// The table, by names without dashes.
#[rustfmt::skip]
fn flag(name: &[u8]) -> Option<(Value, Effect)> {
    Some(match name {
        b"r" | b"i" | b"Ur" | b"relocatable"                                => (Nothing, Partial),
        b"version" | b"help" | b"target-help" | b"run"                      => (Nothing, Question),
        b"print-output-format" | b"print-sysroot"                           => (Nothing, Question),
        b"o"                                                                => (Letter, Output),
        b"output"                                                           => (Word, Output),
        b"l"                                                                => (Letter, Library),
        b"library"                                                          => (Word, Library),
        b"L"                                                                => (Letter, LibraryDir),
        b"library-path"                                                     => (Word, LibraryDir),
        b"sysroot"                                                          => (Word, Sysroot),
        b"m"                                                                => (Letter, Emulation),
        b"b"                                                                => (Letter, InputFormat),
        b"format"                                                           => (Word, InputFormat),
        b"oformat"                                                          => (Word, OutputFormat),
        b"orphan-handling"                                                  => (Word, OrphanHandling),
        b"T"                                                                => (Letter, LinkerScript),
        b"script" | b"default-script" | b"dT"                               => (Word, LinkerScript),
        b"version-script" | b"dynamic-list"                                 => (Word, Script),
        b"retain-symbols-file" | b"export-dynamic-symbol-list"              => (Word, Script),
        b"symbol-ordering-file" | b"section-ordering-file"                  => (Word, Script),
        b"dependency-file"                                                  => (Word, DependencyFile),
        b"section-start" | b"image-base" | b"Trodata-segment"               => (Word, FixedLayout),
        b"Tbss" | b"Tdata" | b"Ttext" | b"Ttext-segment" | b"Tldata-segment" => (Word, FixedLayout),
        b"N" | b"omagic" | b"n" | b"nmagic"                                 => (Nothing, FixedLayout),
        b"fatal-warnings"                                                   => (Nothing, FatalWarnings),
        b"shared" | b"Bshareable"                                           => (Nothing, Shared),
        b"Bstatic" | b"dn" | b"non_shared"                                  => (Nothing, StaticLibraries),
        b"static"                                                           => (Nothing, StaticProgram),
        b"dynamic-linker"                                                   => (Word, Interpreter),
        b"I"                                                                => (Letter, Interpreter),
        b"pie" | b"pic-executable"                                          => (Nothing, PositionIndependent),
        b"no-pie" | b"no-pic-executable"                                    => (Nothing, FixedPosition),
        b"Bdynamic" | b"dy" | b"call_shared"                                => (Nothing, SharedLibraries),
        b"push-state"                                                       => (Nothing, PushState),
        b"pop-state"                                                        => (Nothing, PopState),
        b"start-lib"                                                        => (Nothing, StartLib),
        b"end-lib"                                                          => (Nothing, EndLib),
        b"a" | b"A" | b"c" | b"e" | b"f" | b"F" | b"h" | b"P" | b"R" => (Letter, Skip),
        b"u" | b"y" | b"Y" | b"z"                                           => (Letter, Skip),
        b"architecture" | b"assert" | b"auxiliary" | b"defsym"              => (Word, Skip),
        b"depaudit" | b"audit" | b"entry"                                   => (Word, Skip),
        b"error-handling-script" | b"exclude-libs" | b"filter"              => (Word, Skip),
        b"export-dynamic-symbol" | b"fini" | b"init" | b"gpsize"            => (Word, Skip),
        b"ignore-unresolved-symbol" | b"Map"                                => (Word, Skip),
        b"just-symbols" | b"mllvm" | b"mri-script" | b"package-metadata"    => (Word, Skip),
        b"out-implib" | b"plugin" | b"plugin-opt" | b"task-link"            => (Word, Skip),
        b"require-defined" | b"rpath" | b"rpath-link" | b"soname"           => (Word, Skip),
        b"spare-dynamic-tags" | b"target2" | b"wrap"                        => (Word, Skip),
        b"trace-symbol" | b"undefined" | b"version-exports-section"         => (Word, Skip),
        b"build-id" | b"hash-style" | b"color-diagnostics"                  => (Equals, Skip),
        _                                                                   => return None,
    })
}

/// The name of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputName {
    /// A file by its name.
    File(PathBuf),
    /// A library by its `-l`.
    Library {
        /// The name without `lib`, or `:file`.
        name: OsString,
        /// True after `-Bstatic`: only archives are looked for.
        static_only: bool,
    },
    /// A script or a list of symbols.
    Script(PathBuf),
}

/// An input on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedInput {
    /// The file or library.
    pub name: InputName,
    /// The index of the argument (perhaps a response file) that names it.
    pub argument: usize,
    /// A relocatable object at this position is linked in whole.
    pub taken_whole: bool,
}

/// A command line as far as we understand it.
#[derive(Clone, Debug, Default)]
pub struct LinkLine {
    /// The inputs in the order of the line.
    pub inputs: Vec<NamedInput>,
    /// The output (`-o`), by default `a.out`.
    pub output: PathBuf,
    /// The directories of `-L` in the order of the line; a leading `=` is kept.
    pub library_dirs: Vec<PathBuf>,
    /// The value of `--sysroot`.
    pub sysroot: Option<PathBuf>,
    /// The emulation (`-m`).
    pub emulation: Option<OsString>,
    /// The value of `--dependency-file`.
    pub dependency_file: Option<PathBuf>,
    /// The linker scripts that options name.
    pub linker_scripts: Vec<PathBuf>,
    /// Sections have fixed addresses, or pages are not kept apart.
    pub has_fixed_layout: bool,
    /// Warnings are errors.
    pub has_fatal_warnings: bool,
    /// The output is a shared object.
    pub is_shared: bool,
    /// The option `-static` is on the line.
    has_static_option: bool,
    /// Libraries behind the last input are looked for among archives alone.
    ends_static: bool,
    /// The program is told a dynamic loader.
    has_interpreter: bool,
    /// The program can be loaded at any address.
    is_position_independent: bool,
    /// The reason why this is not a link of ours, so that nothing is recorded.
    pub no_link: Option<&'static str>,
    /// The reason why the output gets no note. The link is recorded.
    pub no_note: Option<&'static str>,
    /// The real linker, which knows directories of its own; `None` where it is not known.
    pub linker: Option<PathBuf>,
    /// One value for each argument: true if an object right after it would be read as an object,
    /// and linked in whole.
    safe_after: Vec<bool>,
}

/// The reason for outputs in other formats.
pub const OUTPUT_IS_NOT_ELF: &str = "the output is not an ELF file";

/// The object is one by which a C library starts a program: `crt1.o`, `Scrt1.o`, `crti.o`.
pub fn is_start_file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.ends_with(b"crt1.o") || name.starts_with(b"crt")
}

#[derive(Clone, Copy, Default)]
struct State {
    static_only: bool,
    foreign_format: bool,
    in_lib: bool,
}

impl LinkLine {
    /// Reads the arguments behind `argv[0]`.
    pub fn read(arguments: &[OsString]) -> LinkLine {
        let mut line = LinkLine { output: "a.out".into(), ..LinkLine::default() };
        let mut state = State::default();
        let mut saved = Vec::new();
        let mut awaiting: Option<Effect> = None;
        for (index, argument) in arguments.iter().enumerate() {
            for word in response_file::expand(argument) {
                if let Some(effect) = awaiting.take() {
                    line.apply(effect, &word, index, &mut state, &mut saved);
                    continue;
                }
                match classify(&word) {
                    Meaning::Input if our_note::is_ours(&word) => {
                        line.is_not_ours("it carries our note already")
                    }
                    Meaning::Input => line.input(InputName::File(PathBuf::from(&word)), index, &state),
                    Meaning::Flag(effect, Some(value)) => {
                        line.apply(effect, value, index, &mut state, &mut saved)
                    }
                    Meaning::Flag(effect, None) => {
                        line.apply(effect, OsStr::new(""), index, &mut state, &mut saved)
                    }
                    Meaning::FlagAwaiting(effect) => awaiting = Some(effect),
                    Meaning::Unknown => {}
                }
            }
            line.safe_after.push(awaiting.is_none() && !state.foreign_format && !state.in_lib);
        }
        line.ends_static = state.static_only;
        // A script may name inputs, as Free Pascal's do.
        if line.inputs.is_empty() {
            line.is_not_ours("no inputs");
        }
        line
    }

    /// Reads the arguments of this linker.
    pub fn of_linker(linker: &Path, arguments: &[OsString]) -> LinkLine {
        let mut line = LinkLine::read(arguments);
        line.linker = Some(linker.to_owned());
        line
    }

    /// The index at which our object may be put into the arguments: right after the one that names
    /// `input`, or at the first safe position after it.
    pub fn place_after(&self, input: &NamedInput) -> Option<usize> {
        (input.argument..self.safe_after.len()).find(|&index| self.safe_after[index]).map(|index| index + 1)
    }

    /// The index at which our object may stand right before the argument that names `input`.
    pub fn place_before(&self, input: &NamedInput) -> Option<usize> {
        let is_safe = |before: usize| self.safe_after.get(before).copied().unwrap_or_default();
        (input.argument == 0 || is_safe(input.argument - 1)).then_some(input.argument)
    }

    /// A program without a C library's start file. An operating system may not be there to start
    /// it.
    pub fn is_freestanding(&self) -> bool {
        let names_start_file =
            |input: &NamedInput| matches!(&input.name, InputName::File(path) if is_start_file(path));
        !self.is_shared && !self.inputs.iter().any(names_start_file)
    }

    /// A program that starts without a dynamic loader, by a start file of a C library. With an
    /// interpreter on the line, as musl-gcc always has one, it is one only where nothing asks for
    /// that interpreter.
    pub fn is_static_program(&self) -> bool {
        // gcc for aarch64 says `-Bstatic`, all others `-static`.
        let needs_no_loader = match self.has_interpreter {
            true => self.has_static_option && self.ends_static && !self.is_position_independent,
            false => self.has_static_option || self.ends_static,
        };
        let starts_by_libc = |input: &NamedInput| match &input.name {
            InputName::File(path) => {
                input.taken_whole && path.file_name().is_some_and(|name| name.as_bytes().ends_with(b"crt1.o"))
            }
            _ => false,
        };
        needs_no_loader && !self.is_shared && self.inputs.iter().any(starts_by_libc)
    }

    /// Inputs whose names are not those of objects or libraries: linkers read them as scripts if
    /// they are text.
    pub fn implicit_scripts(&self) -> Vec<PathBuf> {
        const NOT_SCRIPTS: [&str; 9] = ["o", "a", "so", "lo", "obj", "bc", "lib", "rlib", "rmeta"];
        let may_be_script = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().as_bytes();
            let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
            !NOT_SCRIPTS.contains(&extension) && !name.windows(4).any(|part| part == b".so.")
        };
        let files =
            self.inputs.iter().filter(|input| input.taken_whole).filter_map(|input| match &input.name {
                InputName::File(path) => Some(path),
                _ => None,
            });
        files.filter(may_be_script).cloned().collect()
    }

    fn input(&mut self, name: InputName, argument: usize, state: &State) {
        let taken_whole = !state.foreign_format && !state.in_lib;
        self.inputs.push(NamedInput { name, argument, taken_whole });
    }

    fn is_not_ours(&mut self, why: &'static str) {
        self.no_link.get_or_insert(why);
    }

    fn gets_no_note(&mut self, why: &'static str) {
        self.no_note.get_or_insert(why);
    }

    fn apply(
        &mut self,
        effect: Effect,
        value: &OsStr,
        argument: usize,
        state: &mut State,
        saved: &mut Vec<State>,
    ) {
        match effect {
            Skip => {}
            Output => self.output = value.into(),
            Library => {
                let named = InputName::Library { name: value.into(), static_only: state.static_only };
                self.input(named, argument, state);
            }
            LibraryDir => self.library_dirs.push(value.into()),
            Sysroot => self.sysroot = Some(value.into()),
            Emulation => self.emulation = Some(value.into()),
            InputFormat => {
                let name = value.as_bytes();
                state.foreign_format = name != b"default" && !name.starts_with(b"elf");
            }
            OutputFormat if !value.as_bytes().starts_with(b"elf") => self.gets_no_note(OUTPUT_IS_NOT_ELF),
            OrphanHandling if value != "place" && value != "discard" => {
                self.gets_no_note("a section of ours would be reported as an orphan");
            }
            OutputFormat | OrphanHandling => {}
            LinkerScript => {
                self.linker_scripts.push(value.into());
                self.input(InputName::Script(value.into()), argument, state);
            }
            FixedLayout => self.has_fixed_layout = true,
            FatalWarnings => self.has_fatal_warnings = true,
            Shared => self.is_shared = true,
            Script => self.input(InputName::Script(value.into()), argument, state),
            DependencyFile => self.dependency_file = Some(value.into()),
            StaticLibraries => state.static_only = true,
            StaticProgram => {
                self.has_static_option = true;
                state.static_only = true;
            }
            Interpreter => self.has_interpreter = true,
            PositionIndependent => self.is_position_independent = true,
            FixedPosition => self.is_position_independent = false,
            SharedLibraries => state.static_only = false,
            PushState => saved.push(*state),
            PopState => *state = saved.pop().unwrap_or(*state),
            StartLib => state.in_lib = true,
            EndLib => state.in_lib = false,
            Partial => self.gets_no_note("the output is an object for a later link"),
            Question => self.is_not_ours("the linker answers a question"),
        }
    }
}

enum Meaning<'a> {
    Input,
    Flag(Effect, Option<&'a OsStr>),
    FlagAwaiting(Effect),
    Unknown,
}

fn classify(word: &OsStr) -> Meaning<'_> {
    let bytes = word.as_bytes();
    let (name, two_dashes) = match bytes {
        b"-" => return Meaning::Unknown,
        b"--" => return Meaning::Unknown,
        b"-(" | b"-)" => return Meaning::Unknown,
        [b'-', b'-', name @ ..] => (name, true),
        [b'-', name @ ..] => (name, false),
        _ => return Meaning::Input,
    };
    let (stem, value) = match name.iter().position(|&byte| byte == b'=') {
        Some(at) => (&name[..at], Some(OsStr::from_bytes(&name[at + 1..]))),
        None => (name, None),
    };
    if let Some((takes, effect)) = flag(stem).filter(|(takes, _)| *takes != Letter || value.is_none()) {
        return match (takes, value) {
            (Word, None) | (Letter, None) => Meaning::FlagAwaiting(effect),
            (_, value) => Meaning::Flag(effect, value),
        };
    }
    if two_dashes {
        return Meaning::Unknown;
    }
    match flag(&name[..1]) {
        Some((Letter, effect)) => Meaning::Flag(effect, Some(OsStr::from_bytes(&name[1..]))),
        _ => Meaning::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> LinkLine {
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        LinkLine::read(&words)
    }

    fn files(line: &LinkLine) -> Vec<String> {
        let name = |input: &NamedInput| match &input.name {
            InputName::File(path) | InputName::Script(path) => path.display().to_string(),
            InputName::Library { name, static_only } => {
                format!("-l{}{}", name.display(), if *static_only { " static" } else { "" })
            }
        };
        line.inputs.iter().map(name).collect()
    }

    #[test]
    fn values_are_not_inputs() {
        let text = "-plugin p.so -plugin-opt=x -m elf_x86_64 -dynamic-linker /lib/ld.so -z now -zrelro -o out \
                    --hash-style=gnu -soname lib.so -rpath /r -T x.ld -e main a.o -lm -l c -L/d -L e \
                    --defsym x=1 -Map m -u sym --export-dynamic -O1 -static -lz -Bdynamic b.o";
        let line = line(text);
        assert_eq!(files(&line), ["x.ld", "a.o", "-lm", "-lc", "-lz static", "b.o"]);
        assert_eq!(line.output, PathBuf::from("out"));
        assert_eq!(line.library_dirs, [PathBuf::from("/d"), PathBuf::from("e")]);
        assert_eq!(line.emulation.as_deref(), Some(OsStr::new("elf_x86_64")));
        assert_eq!((line.no_link, line.no_note), (None, None));
    }

    #[test]
    fn what_is_no_link_of_ours_and_what_gets_no_note() {
        for text in [
            "--version",
            "-v",
            "-V",
            "--help",
            "",
            "-lm --help",
            "a.o /proc/self/fd/199",
            "a.o /tmp/ogrt-note-1.o",
        ] {
            assert!(line(text).no_link.is_some(), "{text}");
        }
        for text in [
            "-r a.o",
            "--relocatable a.o",
            "-i a.o",
            "-Ur a.o",
            "--oformat binary a.o",
            "--oformat=srec a.o",
            "--orphan-handling=error a.o",
        ] {
            assert!(line(text).no_note.is_some() && line(text).no_link.is_none(), "{text}");
        }
        for text in ["a.o", "-v a.o", "--oformat=elf64-x86-64 a.o", "-lm", "-rpath x a.o", "-retain a.o"] {
            assert_eq!((line(text).no_link, line(text).no_note), (None, None), "{text}");
        }
    }

    #[test]
    fn what_shapes_the_layout() {
        for text in ["-Ttext 0x7c00 a.o", "-Ttext=0x7c00 a.o", "-N a.o", "--section-start=.x=1 a.o", "-n a.o"]
        {
            assert!(line(text).has_fixed_layout && line(text).is_freestanding(), "{text}");
        }
        for text in ["-z now a.o", "-Tx.ld a.o", "-nostdlib a.o", "-no-pie a.o"] {
            assert!(!line(text).has_fixed_layout, "{text}");
        }
        assert!(!line("/usr/lib/crt1.o a.o").is_freestanding() && !line("-shared a.o").is_freestanding());
        assert_eq!(line("-Tx.ld --script=y.ld -T z.ld --version-script=v a.o").linker_scripts.len(), 3);
        assert_eq!(line("a.o link.ld b.a libz.so.1").implicit_scripts(), [PathBuf::from("link.ld")]);
        assert!(line("--fatal-warnings a.o").has_fatal_warnings);
    }

    #[test]
    fn static_programs_start_by_a_c_library_and_without_a_loader() {
        for text in [
            "-m elf_x86_64 -static -o x /usr/lib/crt1.o a.o -lc",
            "-static -pie --no-dynamic-linker -z text /usr/lib/rcrt1.o a.o -lc",
            // musl-gcc
            "-dynamic-linker /lib/ld-musl-x86_64.so.1 -nostdlib -static /usr/lib/musl/lib/crt1.o a.o -lc",
            "-static /usr/lib/gcrt1.o a.o -Bdynamic -lc -Bstatic",
            "-Bstatic -X -EL -maarch64linux -o x /usr/lib/crt1.o a.o --start-group -lgcc -lc --end-group",
        ] {
            assert!(line(text).is_static_program(), "{text}");
        }
        for text in [
            "-dynamic-linker /lib64/ld.so -o x /usr/lib/crt1.o a.o -lc",
            "-pie -dynamic-linker /lib64/ld.so -static /usr/lib/Scrt1.o a.o -lc",
            "-dynamic-linker /lib64/ld.so /usr/lib/crt1.o -static -la -Bdynamic -lc",
            "-I/lib64/ld.so /usr/lib/crt1.o -static -la -Bdynamic -lc",
            "/usr/lib/crt1.o a.o -Bstatic -la -Bdynamic -lc",
            "-dynamic-linker /lib64/ld.so /usr/lib/crt1.o -Bstatic -la -lc",
            "-static a.o -lc",
            "-static start.o a.o",
            // klibc, dietlibc and NetBSD
            "-static /usr/lib/klibc/lib/crt0.o a.o",
            "-shared -static /usr/lib/crt1.o a.o",
        ] {
            assert!(!line(text).is_static_program(), "{text}");
        }
    }

    #[test]
    fn the_note_is_put_where_an_object_is_read_as_one() {
        let place = |text: &str, input: usize| {
            let line = line(text);
            line.place_after(&line.inputs[input])
        };
        assert_eq!(place("-o x a.o b.o", 0), Some(3));
        assert_eq!(place("--start-lib a.o --end-lib b.o", 0), Some(3));
        assert_eq!(place("--format=binary d.bin --format=default b.o", 0), Some(3));
        assert_eq!(place("a.o --format=binary d.bin", 0), Some(1));
        assert_eq!(place("--format=binary d.bin", 0), None);
        assert_eq!(place("--push-state --format=binary d.bin --pop-state", 0), Some(4));
        assert!(!line("--start-lib a.o --end-lib").inputs[0].taken_whole);
    }
}
