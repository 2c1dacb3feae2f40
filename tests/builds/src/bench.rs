//! Small programs in a folder, linked by one form of call after the other, and a check that each
//! was marked and registered as it should be.

use crate::{
    registered::{Registered, notes_of},
    trial,
};
use ogrt_end_to_end::Stage;
use serde_json::Value;
use std::{
    env, fs,
    os::unix::{
        fs::{PermissionsExt, symlink},
        process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::Stdio,
};

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status, or 128 and the signal's number.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

/// A folder with sources, and a server.
pub struct Bench {
    /// The site.
    pub stage: Stage,
    registered: std::cell::Cell<usize>,
}

impl Default for Bench {
    fn default() -> Self {
        Bench::new()
    }
}

impl Bench {
    /// Makes one with `main.c`, `main.cpp` and `main.f90`, programs that print `answer 42`.
    pub fn new() -> Bench {
        let bench = Bench { stage: Stage::new(), registered: 0.into() };
        bench.write(
            "main.c",
            "#include <stdio.h>\nint main(void) { printf(\"answer %d\\n\", 42); return 0; }\n",
        );
        bench.write(
            "main.cpp",
            "#include <iostream>\nint main() { std::cout << \"answer \" << 42 << \"\\n\"; }\n",
        );
        bench.write("main.f90", "program main\n  write(*, '(a,i0)') 'answer ', 42\nend program main\n");
        bench
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.stage.folder().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// Writes a script.
    pub fn script(&self, name: &str, text: &str) {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    /// Makes a folder for PATH with links to `ogrt-cc` under compilers' names.
    pub fn masquerade(&self, names: &[&str]) -> PathBuf {
        let folder = self.path("masquerade");
        fs::create_dir_all(&folder).expect("a folder");
        for name in names {
            let _ = fs::remove_file(folder.join(name));
            symlink(self.stage.prefix().join("bin/ogrt-cc"), folder.join(name)).expect("a link");
        }
        folder
    }

    /// Runs lines of shell with these folders in front on PATH. Nothing of OGRT is on PATH besides.
    pub fn run(&self, lines: &str, front: &[&Path]) -> Outcome {
        let mut shell = self.stage.command("/bin/sh");
        trial::clean(&mut shell);
        let path = env::var_os("PATH").unwrap_or_default();
        let front = front.iter().map(|folder| folder.to_path_buf());
        let path = env::join_paths(front.chain(env::split_paths(&path))).expect("a PATH");
        // The output goes to files, so that a process left behind cannot keep the test waiting.
        let stream = |name: &str| fs::File::create(self.path(name)).expect("a file");
        let text = |name: &str| ogrt_end_to_end::text(&fs::read(self.path(name)).expect("a file"));
        let status = shell
            .args(["-e", "-c", lines])
            .env_remove("MAKEFLAGS")
            .env("PATH", path)
            .stdin(Stdio::null())
            .stdout(stream("stdout"))
            .stderr(stream("stderr"))
            .status()
            .expect("a shell");
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Outcome { code, stdout: text("stdout"), stderr: text("stderr") }
    }

    /// Runs lines that must succeed with nothing on standard error.
    pub fn succeeds(&self, lines: &str, front: &[&Path]) -> Outcome {
        let outcome = self.run(lines, front);
        assert!(outcome.code == 0 && outcome.stderr.is_empty(), "{lines}\n{outcome:#?}");
        outcome
    }

    /// Runs lines with our own names in front on PATH. They must succeed with nothing on standard
    /// error.
    pub fn bin(&self) -> PathBuf {
        self.stage.prefix().join("bin")
    }

    /// Checks that `program` prints what it should, carries one note, and that its record is the
    /// only one that came since the last call. Returns the record and deletes the program.
    pub fn one_record_of(&self, program: &str) -> Value {
        assert_eq!(self.run(&format!("./{program}"), &[]).stdout, "answer 42\n", "{program}");
        let file = self.path(program);
        let notes = notes_of(&self.stage, std::slice::from_ref(&file)).expect("ogrt show");
        assert_eq!(notes[0].len(), 1, "{program}: notes");
        let registered = self.expect_records(self.registered.get() + 1);
        fs::remove_file(file).expect("the program");
        registered.record(&notes[0][0]).unwrap_or_else(|| panic!("{program} is not registered")).clone()
    }

    /// Checks that exactly this many records are registered by now.
    pub fn expect_records(&self, expected: usize) -> Registered {
        let registered = Registered::at(&self.stage, expected).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(registered.count(), expected, "{:#?}", registered.outputs());
        self.registered.set(expected);
        registered
    }
}
