//! C programs, compiled by a test, and commands that run under the library.

use crate::library;
use ogrt_note::{ByteOrder, Signature, encode, encoded_len};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A folder of a test's own, removed with it.
#[derive(Debug)]
pub struct Folder(tempfile::TempDir);

/// What compiles a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiler {
    /// glibc.
    Gcc,
    /// musl.
    Musl,
    /// A compiler for another machine.
    Cross(&'static str),
}

impl Compiler {
    /// Its command.
    pub fn command(self) -> &'static str {
        match self {
            Compiler::Gcc => "gcc",
            Compiler::Musl => "musl-gcc",
            Compiler::Cross(command) => command,
        }
    }
}

impl Default for Folder {
    fn default() -> Folder {
        let base = std::env::temp_dir().canonicalize().expect("temporary directory");
        Folder(tempfile::Builder::new().prefix("ogrt-preload-").tempdir_in(base).expect("temporary folder"))
    }
}

impl Folder {
    /// A fresh folder, by its canonical path.
    pub fn new() -> Folder {
        Folder::default()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).expect("write");
        path
    }

    /// Compiles `source` to the file `name`.
    pub fn compile(&self, compiler: Compiler, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let c = self.write(&format!("{name}.c"), source);
        let output = Command::new(compiler.command())
            .current_dir(self.path())
            .args(["-O1", "-o", name])
            .arg(&c)
            .args(options)
            .output()
            .expect("compiler");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        self.join(name)
    }

    /// An object file whose `.note.ogrt` holds these bytes.
    pub fn note_object(&self, name: &str, note: &[u8]) -> String {
        self.note_object_by(Compiler::Gcc, name, note)
    }

    /// An object file whose `.note.ogrt` holds these bytes, made by this compiler.
    pub fn note_object_by(&self, compiler: Compiler, name: &str, note: &[u8]) -> String {
        let mut assembly = Vec::new();
        let _ = writeln!(assembly, ".section .note.ogrt,\"a\",@note\n.balign 4");
        for byte in note {
            let _ = writeln!(assembly, ".byte {byte}");
        }
        let _ = writeln!(assembly, ".section .note.GNU-stack,\"\",@progbits");
        let source = self.write(&format!("{name}.s"), &assembly);
        let object = self.join(&format!("{name}.o"));
        let status = Command::new(compiler.command()).arg("-c").arg(&source).arg("-o").arg(&object).status();
        assert!(status.is_ok_and(|status| status.success()), "{compiler:?} -c {}", source.display());
        object.display().to_string()
    }

    /// An object file with a version 2 note.
    pub fn note(&self, name: &str, signature: Signature, metadata: &[u8]) -> String {
        let mut note = vec![0; encoded_len(metadata.len())];
        encode(ByteOrder::NATIVE, signature, metadata, &mut note).expect("a note");
        self.note_object(name, &note)
    }
}

/// An active command under LD_PRELOAD that reports to `server`. Its environment has PATH besides,
/// and nothing else.
pub fn tracked(program: impl AsRef<Path>, server: &str) -> Command {
    let mut command = Command::new(program.as_ref());
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LD_PRELOAD", library())
        .env("OGRT_ACTIVE", "1")
        .env("OGRT_SERVER", server);
    command
}

/// The same, which reports its end as well.
pub fn tracked_to_its_end(program: impl AsRef<Path>, server: &str) -> Command {
    let mut command = tracked(program, server);
    command.env("OGRT_END", "1");
    command
}
