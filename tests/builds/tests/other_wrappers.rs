//! Other wrappers under the same names, in front of us and behind us: ccache and EasyBuild's RPATH
//! wrapper. Each is called once and does its work, and the link has one note and one record.

use ogrt_builds_tests::{Archive, Bench, has_tools, lacks};
use std::{fs, os::unix::fs::symlink, path::PathBuf};

/// Makes a folder with ccache under the compilers' names, as distributions ship one.
fn ccache_folder(bench: &Bench) -> PathBuf {
    let folder = bench.path("ccache");
    fs::create_dir_all(&folder).expect("a folder");
    let ccache = bench.run("command -v ccache", &[]).stdout;
    for name in ["gcc", "cc", "g++"] {
        symlink(ccache.trim(), folder.join(name)).expect("a link");
    }
    folder
}

/// Compiles and links `main.c` twice by `compiler`. Returns how often ccache had the object
/// already.
fn hits(bench: &Bench, compiler: &str, front: &[&std::path::Path]) -> usize {
    let cache = bench.path("cache");
    let settings = format!("export CCACHE_DIR={} {}\n", cache.display(), "CCACHE_NOHASHDIR=1");
    let _ = fs::remove_dir_all(&cache);
    for _ in 0..2 {
        bench.succeeds(
            &format!("{settings}{compiler} -c main.c -o main.o\n{compiler} main.o -o program"),
            front,
        );
        bench.one_record_of("program");
    }
    let figures = bench.run(&format!("{settings}ccache --print-stats"), &[]).stdout;
    let of = |name: &str| {
        let line = figures.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).unwrap_or(0)
    };
    assert_eq!(of("cache_miss"), 1, "{compiler}: {figures}");
    of("direct_cache_hit") + of("preprocessed_cache_hit")
}

#[test]
fn ccache_over_us_and_under_us() {
    if !has_tools(&["gcc", "ccache"]) {
        return;
    }
    let bench = Bench::new();
    let (bin, ours, theirs) = (bench.bin(), bench.masquerade(&["gcc"]), ccache_folder(&bench));
    for (compiler, front) in [
        ("ccache ogrt-cc", vec![&*bin]),
        ("ccache ogrt-cc gcc", vec![&*bin]),
        ("ogrt-cc ccache gcc", vec![&*bin]),
        ("CCACHE_PREFIX=ogrt-cc ccache gcc", vec![&*bin]),
        ("ccache gcc", vec![&*ours]),
        ("gcc", vec![&*ours, &*theirs]),
        ("gcc", vec![&*theirs, &*ours]),
        ("ogrt-cc", vec![&*bin, &*theirs]),
    ] {
        assert_eq!(hits(&bench, compiler, &front), 1, "{compiler} with {front:?} in front");
    }
}

/// Puts EasyBuild's own wrapper script under these names, as `eb --rpath` does, each into a folder
/// of its own.
fn rpath_wrappers(bench: &Bench, commands: &[(&str, String)]) -> Option<Vec<PathBuf>> {
    let easybuild = Archive::Sdist {
        requirement: "easybuild-framework==4.9.4",
        file: "easybuild_framework-4.9.4.tar.gz",
        sha256: "5b380a2e3a359f64f06789c390200b922a840f6b10b441e5163696a34bd9bc27",
    };
    let folder = bench.path("easybuild");
    if !folder.exists()
        && let Err(why) = easybuild.unpack(&folder)
    {
        lacks("easybuild-framework", Some(&why));
        return None;
    }
    let scripts = folder.join("easybuild/scripts");
    let template = fs::read_to_string(scripts.join("rpath_wrapper_template.sh.in")).expect("the template");
    let wrapper = |(name, original): &(&str, String)| {
        let place = format!("wrappers/{name}_wrapper");
        let text = [
            ("orig_cmd", original.as_str()),
            ("python", "python3"),
            ("rpath_args_py", &scripts.join("rpath_args.py").to_string_lossy()),
            ("rpath_filter", "/lib.*,/usr.*"),
            ("rpath_include", "/site/lib"),
            ("rpath_wrapper_log", &bench.path("rpath.log").to_string_lossy()),
            ("wrapper_dir", &bench.path(&place).to_string_lossy()),
        ]
        .iter()
        .fold(template.clone(), |text, (key, value)| text.replace(&format!("%({key})s"), value))
        .replace("%%", "%");
        bench.script(&format!("{place}/{name}"), &text);
        bench.path(&place)
    };
    Some(commands.iter().map(wrapper).collect())
}

/// Builds a program. Returns its dynamic section and how often each wrapper of EasyBuild was
/// called.
fn rpath_build(bench: &Bench, front: &[&std::path::Path]) -> (String, usize, usize) {
    let _ = fs::remove_file(bench.path("rpath.log"));
    bench.succeeds("gcc -L/opt main.c -o program", front);
    let dynamic = bench.run("readelf -d program", &[]).stdout;
    let log = fs::read_to_string(bench.path("rpath.log")).unwrap_or_default();
    // Besides, each tool is asked once for its version, and each driver is tried once: can it be
    // led to us?
    let calls = |name: &str| {
        let calls = log.lines().filter(|line| line.contains(&format!("found CMD: {name} ")));
        calls.filter(|line| line.contains("-o program")).count()
    };
    (dynamic, calls("gcc"), calls("ld"))
}

#[test]
fn easybuilds_rpath_wrapper_in_front_of_us_and_behind_us() {
    if !has_tools(&["gcc", "ld", "python3", "bash", "readelf"]) {
        return;
    }
    let bench = Bench::new();
    let ours = bench.masquerade(&["gcc"]);
    let which = |name: &str| bench.run(&format!("command -v {name}"), &[]).stdout.trim().to_owned();

    // Theirs alone: the result that is expected with us, too.
    let Some(theirs) = rpath_wrappers(&bench, &[("gcc", which("gcc")), ("ld", which("ld"))]) else { return };
    let theirs: Vec<_> = theirs.iter().map(PathBuf::as_path).collect();
    let (bare, gcc, ld) = rpath_build(&bench, &theirs);
    assert!(bare.contains("(RPATH)") && bare.contains("/site/lib"), "{bare}");
    assert_eq!((gcc, ld), (1, 1));
    let tags = |dynamic: &str| -> Vec<String> {
        dynamic
            .lines()
            .filter_map(|line| Some(line.split_once("0x")?.1.split_once(')')?.0.to_owned()))
            .collect()
    };

    // Behind us: `eb` finds our names first, and we find theirs next.
    let (behind, gcc, ld) = rpath_build(&bench, &[&[&*ours], &theirs[..]].concat());
    assert_eq!((tags(&behind), gcc, ld), (tags(&bare), 1, 1), "{behind}");
    assert!(behind.contains("/site/lib"));
    bench.one_record_of("program");

    // In front of us: theirs was made for our command.
    let original = ours.join("gcc").display().to_string();
    let Some(theirs) = rpath_wrappers(&bench, &[("gcc", original), ("ld", which("ld"))]) else { return };
    let theirs: Vec<_> = theirs.iter().map(PathBuf::as_path).collect();
    let (in_front, gcc, ld) = rpath_build(&bench, &[&theirs[..], &[&*ours]].concat());
    assert_eq!((tags(&in_front), gcc, ld), (tags(&bare), 1, 1), "{in_front}");
    assert!(in_front.contains("/site/lib"));
    bench.one_record_of("program");
}
