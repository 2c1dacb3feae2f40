//! The Pythons of this machine, and processes of them that say what they have imported.

use ogrt_observe::python::{Python, pythons};
use std::{
    collections::BTreeSet,
    env, fmt, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What a script ends with: it says what is imported, one a line, and waits until its input ends.
const REPORT: &str = r#"
import sys
sys.stdout.write("\n".join(sorted(k for k in list(sys.modules) if type(k) is str)) + "\n.\n")
sys.stdout.flush()
sys.stdin.read()
"#;

/// A Python of this machine.
#[derive(Clone, Debug)]
pub struct Interpreter {
    pub program: PathBuf,
    pub version: (u8, u8, u8),
}

impl Interpreter {
    /// The Python of the system, and those that pyenv, conda or an administrator installed; each
    /// version of each place once. None is a visible skip, and a failure in CI.
    pub fn all() -> Vec<Self> {
        let home = PathBuf::from(env::var_os("HOME").unwrap_or_default());
        let mut programs = vec![PathBuf::from("/usr/bin/python3"), PathBuf::from("/usr/bin/python2.7")];
        for folder in [home.join(".pyenv/versions"), home.join(".local/share/uv/python"), "/opt".into()] {
            let folders = fs::read_dir(folder).into_iter().flatten().flatten();
            programs.extend(folders.map(|folder| folder.path().join("bin/python")));
        }
        // More of them, separated as in PATH.
        let more = env::var_os("OGRT_TEST_PYTHONS").unwrap_or_default();
        programs.extend(env::split_paths(&more).filter(|path| !path.as_os_str().is_empty()));
        let interpreters: Vec<_> = programs.into_iter().filter_map(Self::at).collect();
        if interpreters.is_empty() {
            assert!(env::var_os("CI").is_none(), "needs python3");
            println!("skipped: needs python3");
        }
        interpreters
    }

    /// The Python at the path. `None` if there is none of a version that is read.
    pub fn at(program: PathBuf) -> Option<Self> {
        let script =
            "import sys; print('%d %d %d %s' % (sys.version_info[:3] + (sys.version.find('PyPy'),)))";
        let output = Command::new(&program).args(["-S", "-c", script]).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let numbers: Vec<i16> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [major, minor, micro, -1] = numbers[..] else { return None };
        let version = (major.try_into().ok()?, minor.try_into().ok()?, micro.try_into().ok()?);
        let is_read = matches!((version.0, version.1), (2, 7) | (3, 6..=15));
        is_read.then_some(Interpreter { program, version })
    }

    /// False for a script that starts an interpreter elsewhere.
    pub fn is_program(&self) -> bool {
        fs::read(&self.program).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"))
    }

    pub fn is_since(&self, minor: u8) -> bool {
        (self.version.0, self.version.1) >= (3, minor)
    }

    /// A process that runs the script, says what it has imported, and waits.
    pub fn run(&self, options: &[&str], script: &str) -> Process {
        let mut command = Command::new(&self.program);
        command.args(options).arg("-c").arg(format!("{script}\n{REPORT}"));
        Process::start(self.clone(), &mut command)
    }

    /// The same script as a text, for other ways to run it.
    pub fn script(script: &str) -> String {
        format!("{script}\n{REPORT}")
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(to, "{major}.{minor}.{micro} ({})", self.program.display())
    }
}

/// A running Python that has said what it has imported. It ends when it is dropped.
pub struct Process {
    pub interpreter: Interpreter,
    pub child: Child,
    pub modules: BTreeSet<String>,
}

impl Process {
    /// Starts a command that ends with the report, and takes what it says.
    pub fn start(interpreter: Interpreter, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).env("PYTHONIOENCODING", "utf-8");
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let modules: Vec<String> = lines.take_while(|line| line != ".").collect();
        assert!(!modules.is_empty(), "{interpreter}: {command:?} said nothing");
        Process { interpreter, child, modules: modules.into_iter().collect() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The only Python in the process.
    pub fn read(&self) -> Python {
        let found = pythons(self.pid()).unwrap();
        let [python] = &found[..] else { panic!("{}: {} Pythons found", self.interpreter, found.len()) };
        python.clone()
    }

    /// What is read from outside is what the process says, and complete.
    pub fn assert_read_whole(&self) {
        let python = self.read();
        let (major, minor, micro) = self.interpreter.version;
        assert_eq!((python.version.major, python.version.minor), (major, minor), "{}", self.interpreter);
        assert!(
            [None, Some(micro)].contains(&python.version.micro),
            "{} read as {}",
            self.interpreter,
            python.version
        );
        assert_eq!(python.modules, self.modules, "{}", self.interpreter);
        assert!(python.is_complete, "{}", self.interpreter);
    }

    pub fn stat_file(&self, name: &str) -> String {
        fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join(name)).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
