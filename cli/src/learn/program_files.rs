//! Which files of packages are programs and libraries, and their build-ids.
//!
//! A file counts that a process can have as its program or can load: an ELF executable or shared
//! object, and a script in a directory for commands. Its content is looked at only where its mode
//! or its name says that it may be one: what is executed has the mode for it, and nearly all that
//! is loaded has `.so` in its name. Nine of ten files are left out by their names alone, since on a
//! cold disk each look at one takes a seek.

use super::{
    package::{NONBLOCK, Package},
    root::Root,
};
use crate::elf_notes;
use object::read::ReadCache;
use ogrt_sketch::Sketch;
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// Most files of all packages together.
const FILES_MAX: usize = 20_000_000;

/// Smallest library that has a sketch: small ones are parts of something.
const SKETCHED_LIBRARY_BYTES_MIN: u64 = 64 << 10;

/// The names of directories for commands.
const COMMANDS: [&str; 4] = ["bin", "sbin", "games", "libexec"];

/// Directories with files for people, translators and compilers.
const DATA: [&str; 5] =
    ["/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/include/", "/usr/lib/debug/"];

/// What names of files end with that no process runs or loads as a program or library.
const DATA_ENDINGS: &[&str] = &[
    "a", "bc", "c", "cc", "cmake", "cmi", "cmt", "cmti", "cmx", "conf", "cpp", "css", "debug", "el", "elc",
    "f90", "fish", "go", "gz", "h", "hpp", "html", "jar", "java", "js", "json", "ko", "la", "m", "map", "md",
    "ml", "mli", "mo", "o", "pc", "pdf", "pl", "pm", "png", "po", "py", "pyc", "pyi", "rb", "rs", "rst", "s",
    "scm", "service", "svg", "tex", "txt", "ui", "vim", "xml", "xpm", "xz", "yaml", "yml",
];

/// A program or library of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProgramFile {
    /// The number of its package.
    pub package: usize,
    /// The path that a process has.
    pub path: PathBuf,
    /// The GNU build-id; empty where it has none.
    pub build_id: Vec<u8>,
    /// What another version of it would resemble, if it has enough of its own.
    pub sketch: Option<Vec<u8>>,
}

/// Finds the programs and libraries of packages, with or without their sketches. Returns them with
/// the number of files that could not be read.
pub fn find(packages: &[Package], root: &mut Root, with_sketches: bool) -> (Vec<ProgramFile>, usize) {
    let mut candidates = Vec::new();
    for (number, package) in packages.iter().enumerate() {
        for file in &package.files {
            if candidates.len() >= FILES_MAX {
                break;
            }
            if !may_be_program(file) {
                continue;
            }
            let Some(path) = root.resolve(file) else { continue };
            let place = root.outside(&path);
            if is_loader(file) {
                let others = loader_paths(file, &path, root);
                candidates.extend(others.into_iter().map(|(path, place)| (number, path, place)));
            }
            candidates.push((number, path, place));
        }
    }
    let threads = thread::available_parallelism().map_or(1, |count| count.get().min(8));
    let found = Mutex::new((Vec::new(), 0));
    // A few files may take as long as all others, so whoever is free takes the next one.
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let (mut files, mut unreadable) = (Vec::new(), 0);
                while let Some((package, path, place)) = candidates.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match content(place, path, with_sketches) {
                        Content::Program { build_id, sketch } => {
                            let path = path.clone();
                            files.push(ProgramFile { package: *package, path, build_id, sketch });
                        }
                        Content::Other => {}
                        Content::Unreadable => unreadable += 1,
                    }
                }
                if let Ok(mut found) = found.lock() {
                    found.0.extend(files);
                    found.1 += unreadable;
                }
            });
        }
    });
    let (mut files, unreadable) = found.into_inner().unwrap_or_default();
    files.sort();
    (files, unreadable)
}

/// Tells whether the name of a file leaves it open that it is a program or a library.
fn may_be_program(path: &Path) -> bool {
    if is_command(path) {
        return true;
    }
    let ending = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    let is_data = DATA.iter().any(|data| path.as_os_str().as_bytes().starts_with(data.as_bytes()));
    !is_data && DATA_ENDINGS.binary_search(&ending).is_err()
}

enum Content {
    /// A program or library.
    Program {
        build_id: Vec<u8>,
        sketch: Option<Vec<u8>>,
    },
    Other,
    Unreadable,
}

/// True for the dynamic loader of the C library.
fn is_loader(path: &Path) -> bool {
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    [&b"ld-"[..], b"ld.so", b"ld64.so"].iter().any(|begin| name.starts_with(begin))
}

/// Further paths of the loader: programs name it by a path that the kernel does not resolve, mostly
/// a symlink. Each comes with the place of the file that it leads to.
fn loader_paths(listed: &Path, resolved: &Path, root: &Root) -> Vec<(PathBuf, PathBuf)> {
    let Some(file) = root.resolve_whole(listed) else { return Vec::new() };
    let without_usr = listed.strip_prefix("/usr").map(|below| Path::new("/").join(below));
    let paths = [Some(listed.to_owned()), without_usr.ok(), Some(resolved.to_owned())];
    let mut paths: Vec<PathBuf> = paths.into_iter().flatten().collect();
    paths.retain(|path| *path != file && root.resolve_whole(path).as_ref() == Some(&file));
    paths.sort();
    paths.dedup();
    paths.into_iter().map(|path| (path, root.outside(&file))).collect()
}

/// Looks at the file at `place`, which a process knows by `path`.
fn content(place: &Path, path: &Path, with_sketches: bool) -> Content {
    let Ok(metadata) = fs::symlink_metadata(place) else { return Content::Other };
    let is_executable = metadata.permissions().mode() & 0o111 != 0;
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let is_library = name.windows(3).any(|part| part == b".so") || name.ends_with(b".node");
    if !metadata.is_file() || !(is_executable || is_library) {
        return Content::Other;
    }
    let flags = NONBLOCK | rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let Ok(file) = OpenOptions::new().read(true).custom_flags(flags).open(place) else {
        return Content::Unreadable;
    };
    let mut magic = [0; 4];
    let read = file.read_at(&mut magic, 0).unwrap_or(0);
    match &magic[..read] {
        b"\x7fELF" => {
            of_elf(file, with_sketches && (!is_library || metadata.len() >= SKETCHED_LIBRARY_BYTES_MIN))
        }
        [b'#', b'!', ..] if is_executable && is_command(path) => {
            Content::Program { build_id: Vec::new(), sketch: None }
        }
        _ => Content::Other,
    }
}

fn of_elf(file: File, with_sketch: bool) -> Content {
    match elf_notes::parse(&ReadCache::new(&file)) {
        Ok(notes) if notes.is_linked => {
            let sketch = if with_sketch { Sketch::of_file(&file).ok().flatten() } else { None };
            let build_id = notes.build_id.unwrap_or_default();
            Content::Program { build_id, sketch: sketch.map(|sketch| sketch.encode()) }
        }
        Ok(_) => Content::Other,
        Err(_) => Content::Unreadable,
    }
}

/// True where the file lies in a directory for commands.
fn is_command(path: &Path) -> bool {
    let parent = path.parent().and_then(Path::file_name);
    parent.is_some_and(|parent| COMMANDS.iter().any(|name| parent == *name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::symlink, process::Command};

    #[test]
    fn endings_are_sorted() {
        assert!(DATA_ENDINGS.is_sorted());
    }

    #[test]
    fn programs_libraries_and_scripts_are_found_and_nothing_hostile_holds_us_up() {
        let directory = tempfile::tempdir().unwrap();
        let at = |path: &str| directory.path().join(path);
        for folder in ["usr/bin", "usr/lib/x", "usr/share/doc", "usr/lib64"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        let set_mode =
            |path: &str, mode| fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
        for program in [
            "usr/bin/true",
            "usr/lib/x/helper",
            "usr/lib/x/libx.so.1",
            "usr/share/doc/true",
            "usr/lib/x/a.py",
        ] {
            fs::copy("/bin/true", at(program)).unwrap();
        }
        set_mode("usr/lib/x/libx.so.1", 0o644);
        for script in ["usr/bin/script", "usr/bin/plain", "usr/lib/x/script"] {
            fs::write(at(script), "#!/bin/sh\n").unwrap();
            set_mode(script, 0o755);
        }
        set_mode("usr/bin/plain", 0o644);
        fs::write(at("usr/bin/damaged"), b"\x7fELF\x02\x01\x01 and no more of it").unwrap();
        set_mode("usr/bin/damaged", 0o755);
        assert!(Command::new("mkfifo").arg(at("usr/bin/fifo")).status().unwrap().success());
        symlink("true", at("usr/bin/link")).unwrap();
        symlink("usr/bin", at("bin")).unwrap();
        symlink("../lib/x/libx.so.1", at("usr/lib64/ld-linux-x86-64.so.2")).unwrap();
        symlink("usr/lib64", at("lib64")).unwrap();
        let names = [
            "/bin/true",
            "/usr/lib/x/helper",
            "/usr/lib/x/libx.so.1",
            "/usr/share/doc/true",
            "/usr/lib/x/a.py",
            "/usr/bin/script",
            "/usr/bin/plain",
            "/usr/lib/x/script",
            "/usr/bin/damaged",
            "/usr/bin/fifo",
            "/usr/bin/link",
            "/usr/bin",
            "/nowhere",
            "/usr/lib64/ld-linux-x86-64.so.2",
        ];
        let files = names.map(PathBuf::from).to_vec();
        let packages = [Package { files, ..Package::default() }];
        let (found, unreadable) = find(&packages, &mut Root::new(directory.path()), false);
        let paths: Vec<_> = found.iter().map(|file| file.path.to_str().unwrap()).collect();
        let programs = ["/usr/bin/script", "/usr/bin/true", "/usr/lib/x/helper", "/usr/lib/x/libx.so.1"];
        let loader = ["/lib64/ld-linux-x86-64.so.2", "/usr/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(paths, [&loader[..1], &programs, &loader[1..]].concat());
        let lengths: Vec<usize> = found.iter().map(|file| file.build_id.len()).collect();
        assert_eq!(lengths, [20, 0, 20, 20, 20, 20]);
        assert_eq!(unreadable, 1);
    }
}
