//! The forms in which an interpreter comes: environments, libraries, static programs, other
//! namespaces; and the forms that names and interpreters have in it.

use crate::{
    interpreter::{Interpreter, Process},
    recorded,
};
use ogrt_observe::python::{pythons, top_level_packages};
use std::{collections::BTreeSet, env, fs, os::unix::fs::symlink, path::Path, process::Command};

const SCRIPT: &str = "import json, decimal, xml.dom";

/// The headers and libraries of the system's Python. Another's may be first on PATH.
const CONFIG: &str = "/usr/bin/python3-config";

/// The Pythons whose program can be copied.
fn programs() -> Vec<Interpreter> {
    Interpreter::all().into_iter().filter(Interpreter::is_program).collect()
}

/// True, and said aloud, if a program is missing.
fn lacks(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let lacks = !env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if lacks {
        assert!(env::var_os("CI").is_none(), "needs {program}");
        println!("skipped: needs {program}");
    }
    lacks
}

#[test]
fn environments() {
    for interpreter in programs().into_iter().filter(|interpreter| interpreter.is_since(6)) {
        for how in ["--symlinks", "--copies"] {
            let folder = tempfile::tempdir().unwrap();
            let place = folder.path().join("environment");
            let made = Command::new(&interpreter.program)
                .args(["-m", "venv", "--without-pip", how])
                .arg(&place)
                .status()
                .unwrap();
            assert!(made.success(), "{interpreter}");
            let inner = Interpreter { program: place.join("bin/python"), ..interpreter.clone() };
            inner.run(&[], SCRIPT).assert_read_whole();
        }
    }
}

/// A program that has the interpreter in it and gives no name of it to others, as frozen programs
/// are. It has what is built in, and what is written in Python.
#[test]
fn a_static_interpreter_without_symbols() {
    let Some(interpreter) = Interpreter::at("/usr/bin/python3".into()) else {
        return println!("skipped: needs python3");
    };
    if lacks("gcc") || lacks(CONFIG) || lacks("strip") {
        return;
    }
    let ask = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("main.c");
    fs::write(&source, "#include <Python.h>\nint main(int c, char **v) { return Py_BytesMain(c, v); }\n")
        .unwrap();
    let headers = ask(Command::new(CONFIG).arg("--includes"));
    let place = ask(Command::new(CONFIG).arg("--configdir"));
    let (major, minor, _) = interpreter.version;
    let library = Path::new(place.trim()).join(format!("libpython{major}.{minor}.a"));
    let pic_library = Path::new(place.trim()).join(format!("libpython{major}.{minor}-pic.a"));
    for (name, library, options) in [
        ("fixed", &library, &["-no-pie"][..]),
        ("moved", &pic_library, &["-pie"]),
        ("whole", &library, &["-no-pie", "-static"]),
    ] {
        let program = folder.path().join(name);
        let linked = Command::new("gcc")
            .args(headers.split_whitespace())
            .args(options)
            .arg(&source)
            .arg(library)
            .args(["-lexpat", "-lz", "-lm", "-o"])
            .arg(&program)
            .output()
            .unwrap();
        assert!(linked.status.success(), "{name}: {}", String::from_utf8_lossy(&linked.stderr));
        for is_stripped in [false, true] {
            if is_stripped {
                assert!(Command::new("strip").arg(&program).status().unwrap().success());
            }
            let mut command = Command::new(&program);
            command.env("PYTHONHOME", "/usr").args([
                "-S",
                "-c",
                &Interpreter::script("import json, xml.dom, html.parser"),
            ]);
            let process = Process::start(interpreter.clone(), &mut command);
            assert!(process.modules.contains("html.parser"));
            process.assert_read_whole();
            if is_stripped && name == "fixed" {
                let mut command = Command::new(&program);
                command.env("PYTHONHOME", "/usr").args(["-S", "-c", &Interpreter::script(recorded::SCRIPT)]);
                let process = Process::start(interpreter.clone(), &mut command);
                recorded::assert_record(&process, &program, "-hidden");
            }
        }
    }
}

/// The libraries of 2.7 and 3.6 name the variable with the interpreters only before they are
/// stripped, and distributions strip them.
#[test]
fn a_stripped_library() {
    if lacks("strip") {
        return;
    }
    for interpreter in programs() {
        let Some(library) = library_of(&interpreter) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(library.file_name().unwrap());
        fs::copy(&library, &copy).unwrap();
        assert!(Command::new("strip").arg("--strip-all").arg(&copy).status().unwrap().success());
        let mut command = Command::new(&interpreter.program);
        command.env("LD_LIBRARY_PATH", folder.path()).args(["-c", &Interpreter::script(SCRIPT)]);
        let process = Process::start(interpreter.clone(), &mut command);
        assert!(process.stat_file("maps").contains(copy.to_str().unwrap()), "{interpreter}");
        process.assert_read_whole();
    }
}

/// A library of 2.7 or 3.6 whose function for the first interpreter has a form that is not known:
/// the same code behind an instruction that does nothing.
#[test]
fn an_unusual_function_for_the_first_interpreter() {
    if lacks("nm") {
        return;
    }
    for interpreter in Interpreter::all().into_iter().filter(|interpreter| !interpreter.is_since(7)) {
        let Some(library) = library_of(&interpreter) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join(library.file_name().unwrap());
        let names = Command::new("nm").arg("-D").arg(&library).output().unwrap().stdout;
        let names = String::from_utf8(names).unwrap();
        let line = names.lines().find(|line| line.ends_with("PyInterpreterState_Head")).unwrap();
        // Of a library, the address of code is its place in the file.
        let place = usize::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap();
        let mut bytes = fs::read(&library).unwrap();
        let function = &mut bytes[place..place + 9];
        let [0x48, 0x8b, 0x05, a, b, c, d, 0xc3, _] = *function else {
            println!("skipped: {interpreter} has another form already");
            continue;
        };
        let [a, b, c, d] = (i32::from_le_bytes([a, b, c, d]) - 1).to_le_bytes();
        function.copy_from_slice(&[0x90, 0x48, 0x8b, 0x05, a, b, c, d, 0xc3]);
        fs::write(&copy, bytes).unwrap();
        let mut command = Command::new(&interpreter.program);
        command.env("LD_LIBRARY_PATH", folder.path()).args(["-c", &Interpreter::script(SCRIPT)]);
        let process = Process::start(interpreter.clone(), &mut command);
        assert!(process.stat_file("maps").contains(copy.to_str().unwrap()), "{interpreter}");
        process.assert_read_whole();
    }
}

/// The shared library of an interpreter, where it has one.
fn library_of(interpreter: &Interpreter) -> Option<std::path::PathBuf> {
    let process = interpreter.run(&[], "");
    let maps = process.stat_file("maps");
    let path = maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
        .find(|path| path.contains("/libpython"));
    path.map(Into::into)
}

/// A library of another name, under a program of another name, that embeds the interpreter.
#[test]
fn an_interpreter_under_another_name() {
    for interpreter in programs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("solver");
        fs::copy(fs::canonicalize(&interpreter.program).unwrap(), &program).unwrap();
        let mut command = Command::new(&program);
        let home = interpreter.program.parent().unwrap().parent().unwrap();
        command.env("PYTHONHOME", home).args(["-c", &Interpreter::script(SCRIPT)]);
        if let Some(library) = library_of(&interpreter) {
            let plugins = folder.path().join("plugins");
            fs::create_dir(&plugins).unwrap();
            fs::copy(&library, plugins.join("engine.so")).unwrap();
            symlink("engine.so", plugins.join(library.file_name().unwrap())).unwrap();
            command.env("LD_LIBRARY_PATH", &plugins);
        }
        Process::start(interpreter, &mut command).assert_read_whole();
    }
}

#[test]
fn a_program_whose_file_is_gone() {
    for interpreter in programs() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("python");
        fs::copy(fs::canonicalize(&interpreter.program).unwrap(), &program).unwrap();
        let mut command = Command::new(&program);
        let home = interpreter.program.parent().unwrap().parent().unwrap();
        command.env("PYTHONHOME", home).args(["-c", &Interpreter::script(SCRIPT)]);
        if let Some(library) = library_of(&interpreter) {
            fs::copy(&library, folder.path().join(library.file_name().unwrap())).unwrap();
            command.env("LD_LIBRARY_PATH", folder.path());
        }
        let process = Process::start(interpreter, &mut command);
        fs::remove_dir_all(folder.path()).unwrap();
        process.assert_read_whole();
    }
}

/// A container in which other files lie at the paths, and whose processes have other numbers.
#[test]
fn another_mount_namespace() {
    if lacks("bwrap") {
        return;
    }
    for interpreter in programs() {
        let real = fs::canonicalize(&interpreter.program).unwrap();
        let home = interpreter.program.parent().unwrap().parent().unwrap();
        let inner = Path::new("/inside");
        let mut command = Command::new("bwrap");
        command.args([
            "--unshare-user",
            "--unshare-pid",
            "--die-with-parent",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]);
        for folder in ["/lib", "/lib64", "/usr"] {
            command.args(["--ro-bind-try", folder, folder]);
        }
        command.arg("--ro-bind").arg(home).arg(inner);
        let relative = real.strip_prefix(fs::canonicalize(home).unwrap()).unwrap();
        command.arg("--setenv").arg("LD_LIBRARY_PATH").arg(inner.join("lib"));
        command.arg("--setenv").arg("PYTHONHOME").arg(inner);
        command.arg(inner.join(relative)).args(["-c", &Interpreter::script(SCRIPT)]);
        let process = Process::start(interpreter.clone(), &mut command);
        let inner = descendant(process.pid());
        let [python] = &pythons(inner).unwrap()[..] else { panic!("{interpreter}") };
        assert_eq!(python.modules, process.modules, "{interpreter}");
        assert!(python.is_complete, "{interpreter}");
    }
}

/// What no Python of this machine has: an interpreter without the global lock, the older kind of
/// symbol table, and musl's loader, which leaves addresses as they stand in the file.
#[test]
fn layouts_and_loaders_of_other_machines() {
    if lacks("gcc") || lacks("musl-gcc") {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/pretender.c");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("pretender");
    // The form of a text stands behind 2, 8 or 16 bits.
    let layouts = [("16", "100"), ("32", "100"), ("32", "25 << 8"), ("32", "25 << 16"), ("16", "25 << 16")];
    for compiler in ["gcc", "musl-gcc"] {
        for style in ["gnu", "sysv"] {
            for (head, bits) in layouts {
                let linked = Command::new(compiler)
                    .args([
                        &format!("-DHEAD={head}"),
                        &format!("-DBITS={bits}"),
                        "-rdynamic",
                        "-fPIE",
                        "-pie",
                    ])
                    .arg(format!("-Wl,--hash-style={style}"))
                    .arg(&source)
                    .arg("-o")
                    .arg(&program)
                    .status();
                assert!(linked.unwrap().success(), "{compiler} {style}");
                let version = (3, 13, 5);
                let interpreter = Interpreter { program: program.clone(), version };
                let process = Process::start(interpreter, &mut Command::new(&program));
                process.assert_read_whole();
            }
        }
    }
}

/// Programs that PyInstaller made of a script and of numpy: a folder, and a single file that
/// unpacks itself. Both are made at full size only, since the packages come from the network.
#[test]
fn frozen_programs() {
    if env::var_os("OGRT_TEST_FULL").is_none() {
        return println!("skipped: needs OGRT_TEST_FULL=1");
    }
    let Some(interpreter) = Interpreter::at("/usr/bin/python3".into()) else {
        return println!("skipped: needs python3");
    };
    let folder = tempfile::tempdir().unwrap();
    let packages = folder.path().join("packages");
    let python = || {
        let mut command = Command::new(&interpreter.program);
        command.current_dir(folder.path()).env("PYTHONPATH", &packages);
        command
    };
    let install = ["-m", "pip", "install", "--quiet", "--target", "packages", "numpy", "pyinstaller"];
    assert!(python().args(install).status().unwrap().success());
    let script = Interpreter::script("import json, numpy.linalg");
    fs::write(folder.path().join("solver.py"), &script).unwrap();
    let numpy = |process: &Process, pid: u32| {
        let [python] = &pythons(pid).unwrap()[..] else { panic!("one Python") };
        assert_eq!(python.modules, process.modules);
        let packages = top_level_packages(python.version, python.modules.iter().map(String::as_str));
        assert!(packages.contains("numpy"), "{packages:?}");
    };
    let plain = Process::start(interpreter.clone(), python().args(["-c", &script]));
    numpy(&plain, plain.pid());
    for (form, program) in [("--onedir", "dist/solver/solver"), ("--onefile", "dist/solver")] {
        let freeze = ["-m", "PyInstaller", "--log-level", "ERROR", "--noconfirm", form, "solver.py"];
        assert!(python().args(freeze).status().unwrap().success());
        let program = folder.path().join(program);
        let process = Process::start(interpreter.clone(), &mut Command::new(&program));
        numpy(&process, descendant(process.pid()));
        drop(process);
        fs::remove_dir_all(folder.path().join("dist")).unwrap();
    }
}

/// The last process of a line of children.
fn descendant(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    children.split_whitespace().next().map_or(pid, |child| descendant(child.parse().unwrap()))
}

#[test]
fn interpreters_within_an_interpreter() {
    for interpreter in Interpreter::all().into_iter().filter(|interpreter| interpreter.is_since(8)) {
        let module = if interpreter.is_since(13) { "_interpreters" } else { "_xxsubinterpreters" };
        let script = format!(
            "import {module} as s\nids = [s.create() for _ in range(3)]\ns.run_string(ids[1], 'import colorsys')"
        );
        let process = interpreter.run(&[], &script);
        assert!(!process.modules.contains("colorsys"));
        let python = process.read();
        assert!(python.modules.contains("colorsys"), "{interpreter}");
        assert!(python.modules.is_superset(&process.modules) && python.is_complete, "{interpreter}");
    }
}

/// Names of each width of characters, and keys that are no names.
#[test]
fn names_of_every_form() {
    for interpreter in Interpreter::all() {
        let script = r#"
import sys
class S(str): pass
for name in [""] + (["\xfcber", "\u0438\u043c\u044f", "\u6a21\u5757.\u5185", "\U0001f600\u6a21"] if sys.version_info[0] > 2 else []):
    sys.modules[name] = sys
sys.modules["x" * 1024] = sys.modules["deleted"] = sys
del sys.modules["deleted"]
"#;
        let process = interpreter.run(&[], script);
        process.assert_read_whole();
        // Keys of other types, which give the table another form: the names stay.
        let others =
            "sys.modules[42] = sys.modules[None] = sys.modules[S('derived')] = sys.modules[(1,)] = sys";
        let process = interpreter.run(&[], &format!("{script}{others}"));
        process.assert_read_whole();
        // A name longer than any that is read is left out.
        let process = interpreter.run(&[], &format!("{script}sys.modules['y' * 1025] = sys"));
        let mut expected = process.modules.clone();
        assert!(expected.remove(&"y".repeat(1025)));
        assert_eq!(process.read().modules, expected, "{interpreter}");
    }
}

#[test]
fn as_many_modules_as_the_bound_and_more() {
    for interpreter in Interpreter::all() {
        let many = |count: u32| {
            let script = format!(
                "import sys\nfor n in range({count} - len(sys.modules)): sys.modules['m%d' % n] = sys"
            );
            interpreter.run(&[], &script)
        };
        many(16_384).assert_read_whole();
        let process = many(16_385);
        let python = process.read();
        assert!(!python.is_complete, "{interpreter}");
        let wrong: BTreeSet<_> = python.modules.difference(&process.modules).collect();
        assert!(wrong.is_empty(), "{interpreter}: {wrong:?}");
    }
}
