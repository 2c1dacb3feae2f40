//! Each row of the table of known tools, tried: a program of that name links in the way that the
//! table says.

use ogrt_wrap::tool::known_tools::{self, DriverKind, TOOLS, ToolKind};
use ogrt_wrapper_tests::{Bench, executable, has_tool, prefix, signatures_of};
use std::path::Path;

/// A driver that refuses what only gcc knows.
const TAKES_OBJECT: &str = "#!/bin/sh\nfor word; do case $word in\n\
    -B*|-print*|-Xlinker|-nostdlib|-###) exit 1;; esac; done\nexec /usr/bin/gcc \"$@\"\n";

/// Links by a line, and says which of our programs registered it.
fn client_of(bench: &Bench, name: &str, line: &str) -> String {
    let before = bench.spooled().len();
    let path = format!("{}:{}", bench.dir().display(), std::env::var("PATH").expect("a PATH"));
    let outcome = bench.run(&format!("rm -f program; {line}"), &path);
    assert!(outcome.code == Some(0) && outcome.stderr.is_empty(), "{name}: {outcome:#?}");
    assert_eq!(signatures_of(&bench.path("program")).len(), 1, "{name}");
    let records = bench.spooled();
    assert_eq!(records.len(), before + 1, "{name}");
    records.last().expect("a record").client().to_owned()
}

#[test]
fn each_known_tool_comes_to_its_note() {
    if !has_tool("gcc") {
        return;
    }
    let bench = Bench::new().with_program();
    assert_eq!(bench.bare("gcc -c main.c answer.c").code, Some(0));
    let bin = prefix().join("bin");
    let ours = |name: &str| bin.join(name).display().to_string();
    for tool in TOOLS {
        let name = tool.name;
        let (script, line, client) = match tool.kind {
            ToolKind::Driver(_, DriverKind::TakesObject) => {
                (TAKES_OBJECT, format!("{} {name} main.o answer.o -o program", ours("ogrt-cc")), "ogrt-cc ")
            }
            ToolKind::Driver(..) => (
                "#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n",
                format!("{} {name} main.o answer.o -o program", ours("ogrt-cc")),
                "ogrt-ld ",
            ),
            ToolKind::Linker { .. } => {
                let wrapper = prefix().join("libexec/ogrt").join(name);
                assert!(wrapper.is_file(), "{name} is not installed");
                let line = format!("{} -shared main.o answer.o -o program", wrapper.display());
                ("#!/bin/sh\nexec /usr/bin/ld \"$@\"\n", line, "ogrt-ld ")
            }
            ToolKind::Launcher => (
                "#!/bin/sh\nexec \"$@\"\n",
                format!("{} {name} gcc main.o answer.o -o program", ours("ogrt-cc")),
                "ogrt-ld ",
            ),
            ToolKind::Runner { words, .. } => (
                if words == 0 { "#!/bin/sh\nexec \"$@\"\n" } else { "#!/bin/sh\nshift\nexec \"$@\"\n" },
                format!("{} {name} {} gcc main.o answer.o -o program", ours("ogrt-cc"), "1 ".repeat(words)),
                "ogrt-ld ",
            ),
            ToolKind::Wrapper { language, variable } => {
                let first = known_tools::system_compilers(language).next().expect("a system's compiler");
                assert!(bench.path(first).is_file(), "{name} runs {first}");
                let named = client_of(
                    &bench,
                    name,
                    &format!("{variable}=gcc {} main.o answer.o -o program", ours(name)),
                );
                assert!(named.starts_with("ogrt-ld "), "{variable}: {named}");
                ("", format!("{} main.o answer.o -o program", ours(name)), "ogrt-ld ")
            }
        };
        if !script.is_empty() {
            executable(&bench, name, script);
        }
        let registered_by = client_of(&bench, name, &line);
        assert!(registered_by.starts_with(client), "{name}: {registered_by}");
        // The next rows run the real program of this name.
        if Path::new("/usr/bin").join(name).exists() && !matches!(tool.kind, ToolKind::Driver(..)) {
            std::fs::remove_file(bench.path(name)).expect("a stand-in");
        }
    }
}
