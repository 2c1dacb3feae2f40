//! What a build pays: one object linked, and one file compiled, with and without us, the server live.

use super::{
    Figure,
    measure::{medians, milliseconds_over},
};
use crate::{child, daemon::Daemon};
use anyhow::{Context, Result};
use std::{fs, path::Path, process::Command};

/// `gcc -o h h.o` and `gcc -c h.c`.
pub fn figures(prefix: &Path, server: &Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let source = folder.join("h.c");
    let program = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
    fs::write(&source, program).with_context(|| source.display().to_string())?;
    let wrapper = prefix.join("bin/ogrt-cc");
    let compiler = |ours: bool, arguments: [&str; 3]| {
        let mut command = Command::new(if ours { wrapper.as_path() } else { Path::new("gcc") });
        if ours {
            command.arg("gcc");
        }
        command.args(arguments).current_dir(folder);
        command.env("OGRT_SERVER", &server.tcp).env("OGRT_SPOOL_DIR", folder.join("spool"));
        command
    };
    child::run(&mut compiler(false, ["-c", "h.c", "-oh.o"]), &mut |_| {})?;
    let mut commands = [
        compiler(false, ["-o", "bare", "h.o"]),
        compiler(true, ["-o", "ours", "h.o"]),
        compiler(false, ["-c", "h.c", "-obare.o"]),
        compiler(true, ["-c", "h.c", "-oours.o"]),
    ];
    let measured = medians(&mut commands, rounds)?;
    let [link, ours, compile, our_compile] = measured.medians[..] else { unreachable!() };
    let spooled = fs::read_dir(folder.join("spool")).map_or(0, |files| files.count());
    Ok(vec![
        Figure {
            what: "gcc -o h h.o, bare",
            ours: format!("{:.2} ms", link.as_secs_f64() * 1e3),
            budget: "",
            ogrt_0_5: "20.8 ms",
            xalt: "17.6 ms",
        },
        Figure {
            what: "the same by ogrt-cc, registered",
            ours: milliseconds_over(ours, link),
            budget: "+2 ms",
            ogrt_0_5: "28.1 ms (+7.3)",
            xalt: "79.2 ms (+61.6)",
        },
        Figure {
            what: "gcc -c h.c, bare",
            ours: format!("{:.2} ms", compile.as_secs_f64() * 1e3),
            budget: "",
            ogrt_0_5: "",
            xalt: "",
        },
        Figure {
            what: "the same by ogrt-cc",
            ours: milliseconds_over(our_compile, compile),
            budget: "+0.3 ms",
            ogrt_0_5: "",
            xalt: "",
        },
        Figure {
            what: "links registered at once, not spooled",
            ours: format!("{} of {}", measured.runs.saturating_sub(spooled), measured.runs),
            budget: "all",
            ogrt_0_5: "",
            xalt: "",
        },
    ])
}
