//! Real Pythons, and a program that only pretends to be one: what they have imported, read from
//! outside.

mod changes;
mod forms;
mod interpreter;
mod pieces;
mod quiet;
mod recorded;
mod torn;

use interpreter::Interpreter;
use ogrt_observe::python::{Python, PythonVersion, pythons, top_level_packages};
use std::{
    process::{self, Command},
    time::{Duration, Instant},
};

#[test]
fn each_python_is_read_as_it_says() {
    for interpreter in Interpreter::all() {
        for options in [&[][..], &["-S"], &["-E"], &["-O"], &["-I"], &["-I", "-S"]] {
            if options.contains(&"-I") && !interpreter.is_since(4) {
                continue;
            }
            interpreter.run(options, "import json, decimal, xml.dom, email.mime.text").assert_read_whole();
        }
    }
}

/// The time of a reading beside the number of modules. The bound is far above: machines differ.
#[test]
fn a_reading_is_quick() {
    for interpreter in Interpreter::all() {
        // As many as a usual program of science has.
        let script = "import sys, unittest, email.mime.text, xml.dom.minidom, multiprocessing.pool, json, types\n\
                      for n in range(250 - len(sys.modules)): sys.modules['filler.of_%d' % n] = types";
        let process = interpreter.run(&[], script);
        process.assert_read_whole();
        let median = median_of_readings(process.pid());
        println!("{interpreter}: {} modules in {} us", process.modules.len(), median.as_micros());
        assert!(median < Duration::from_millis(50), "{interpreter}: {median:?}");
    }
}

/// Debian's packages of Python modules, of which the machine's list has two.
#[test]
fn packages_are_told_from_what_comes_with_python() {
    let Some(interpreter) = Interpreter::at("/usr/bin/python3".into()) else {
        return println!("skipped: needs python3");
    };
    let installed = |name: &str| {
        let script = format!("import {name}");
        Command::new(&interpreter.program).args(["-c", &script]).status().unwrap().success()
    };
    let names: Vec<_> =
        ["pip", "seccomp", "setproctitle"].into_iter().filter(|name| installed(name)).collect();
    if names.is_empty() {
        return println!("skipped: needs pip3, python3-seccomp or python3-setproctitle");
    }
    let process = interpreter.run(&[], &format!("import json, xml.dom, {}", names.join(", ")));
    let python = process.read();
    let packages = top_level_packages(python.version, python.modules.iter().map(String::as_str));
    // What these import themselves may be there as well; nothing of Python is.
    assert!(names.iter().all(|name| packages.contains(name)), "{packages:?}");
    let bare = interpreter.run(&["-I", "-S"], "import json, xml.dom").read();
    assert!(top_level_packages(bare.version, bare.modules.iter().map(String::as_str)).is_empty());
}

/// The table of the standard library, beside what each version says of itself.
#[test]
fn the_standard_library_is_no_package() {
    for interpreter in Interpreter::all().into_iter().filter(|interpreter| interpreter.is_since(10)) {
        let script = "import sys; print(*sys.stdlib_module_names)";
        let output = Command::new(&interpreter.program).args(["-S", "-c", script]).output().unwrap();
        let names = String::from_utf8(output.stdout).unwrap();
        assert!(names.split_whitespace().count() > 200, "{interpreter}");
        let version = PythonVersion::new(interpreter.version.0, interpreter.version.1);
        let packages = top_level_packages(version, names.split_whitespace());
        assert!(packages.is_empty(), "{interpreter}: {packages:?}");
    }
}

#[test]
fn other_programs_have_no_python() {
    let mut sleep = Command::new("sleep").arg("60").spawn().unwrap();
    assert_eq!(read_when_settled(sleep.id()), []);
    println!("a process without Python: {} us", median_of_readings(sleep.id()).as_micros());
    sleep.kill().unwrap();
    // What ends has less and less memory; a zombie has none, and that is an error.
    for _ in 0..100 {
        assert!(pythons(sleep.id()).map_or(true, |pythons| pythons.is_empty()));
    }
    let ended = sleep.id();
    sleep.wait().unwrap();
    assert!(pythons(ended).is_err());
    assert_eq!(pythons(process::id()).unwrap(), [], "this test itself");
}

fn median_of_readings(pid: u32) -> Duration {
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let start = Instant::now();
            pythons(pid).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// The reading of a process that may be about to start its program, or to end.
fn read_when_settled(pid: u32) -> Vec<Python> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match pythons(pid) {
            Err(_) if Instant::now() < end => {}
            read => return read.unwrap(),
        }
    }
}
