//! What a build pays: one object linked, one file compiled, and 500 objects linked by each linker,
//! with and without us.
//!
//! The server is live; links are also measured with one that is absent, one that hangs, and one
//! that refuses them. A large link leaves work to its companion. The next link waits until that is
//! done, outside of any measured time.

mod large;
mod servers;

use super::{
    Figure,
    measure::{medians_settling, milliseconds_over},
};
use crate::{child, daemon::Daemon};
use anyhow::{Context, Result};
use servers::BadServers;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// The installed programs, and the folder of the measurement.
struct LinkBench<'a> {
    prefix: &'a Path,
    folder: &'a Path,
}

impl LinkBench<'_> {
    fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("gcc");
        command.args(arguments).current_dir(self.folder);
        command
    }

    fn ours(&self, server: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.prefix.join("bin/ogrt-cc"));
        command.arg("gcc").args(arguments).current_dir(self.folder);
        command.env("OGRT_SERVER", server).env("OGRT_SPOOL_DIR", self.spool());
        command.env("XDG_CACHE_HOME", self.folder.join("cache"));
        command
    }

    fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    /// A cache that loses something after each link.
    fn forgetful_cache(&self) -> PathBuf {
        self.folder.join("forgetful")
    }

    /// Files in the spool whose names end with `suffix`.
    fn spooled(&self, suffix: &str) -> Vec<PathBuf> {
        let files = fs::read_dir(self.spool()).into_iter().flatten().flatten().map(|file| file.path());
        files.filter(|path| path.to_string_lossy().ends_with(suffix)).collect()
    }

    /// Waits until no companion runs.
    fn settle(&self) {
        while self.spooled(".unfinished").len() + self.spooled(".sending").len() > 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for companions and empties the spool.
    fn settle_and_empty(&self) {
        self.settle();
        self.spooled(".frames").iter().for_each(|path| drop(fs::remove_file(path)));
    }

    /// Waits for companions, empties the spool, and forgets which servers were tried.
    fn forget_servers(&self) {
        self.settle_and_empty();
        let _ = fs::remove_dir_all(self.spool().join("resting"));
    }

    /// Waits for companions and forgets every compiler.
    fn forget_compilers(&self) {
        self.settle();
        let _ = fs::remove_dir_all(self.forgetful_cache());
    }
}

/// Small links, then large ones.
pub fn figures(prefix: &Path, server: &Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let bench = LinkBench { prefix, folder };
    let bad = BadServers::start(prefix, folder)?;
    let mut figures = small(&bench, server, &bad, rounds)?;
    figures.extend(large::figures(&bench, server, &bad, (rounds / 10).max(3))?);
    Ok(figures)
}

fn small(bench: &LinkBench, server: &Daemon, bad: &BadServers, rounds: usize) -> Result<Vec<Figure>> {
    let source = bench.folder.join("h.c");
    let program = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
    fs::write(&source, program).with_context(|| source.display().to_string())?;
    child::run(&mut bench.bare(&["-c", "h.c", "-oh.o"]), &mut |_| {})?;
    let mut commands = [
        bench.bare(&["-o", "bare", "h.o"]),
        bench.ours(&server.tcp, &["-o", "ours", "h.o"]),
        bench.bare(&["-c", "h.c", "-obare.o"]),
        bench.ours(&server.tcp, &["-c", "h.c", "-oours.o"]),
    ];
    // The budgets are a hundredth of what the compiler takes, and less.
    let measured = medians_settling(&mut commands, rounds * 3, &mut || {})?;
    let [link, ours, compile, our_compile] = measured.medians[..] else { unreachable!() };
    let in_pairs = |with, without| format!("{:+.2} ms", measured.in_pairs(with, without));
    let at_once = measured.runs.saturating_sub(bench.spooled(".frames").len());

    let of = |server: &str| bench.ours(server, &["-o", "ours", "h.o"]);
    let mut commands =
        [bench.bare(&["-o", "bare", "h.o"]), of(&bad.absent), of(&bad.hanging), of(&bad.refusing)];
    let later = medians_settling(&mut commands, rounds, &mut || bench.settle_and_empty())?.medians;
    let first = medians_settling(&mut commands, rounds.min(20), &mut || bench.forget_servers())?.medians;

    let mut unmet = bench.ours(&server.tcp, &["-o", "ours", "h.o"]);
    unmet.env("XDG_CACHE_HOME", bench.forgetful_cache());
    let mut commands = [bench.bare(&["-o", "bare", "h.o"]), unmet];
    let unmet = medians_settling(&mut commands, rounds.min(20), &mut || bench.forget_compilers())?.medians;

    let over = |medians: &[Duration], at: usize| milliseconds_over(medians[at], medians[0]);
    Ok(vec![
        Figure {
            what: "gcc -o h h.o, bare".into(),
            ours: format!("{:.2} ms", link.as_secs_f64() * 1e3),
            budget: "",
            ogrt_0_5: "20.8 ms",
            xalt: "17.6 ms",
        },
        Figure {
            what: "the same by ogrt-cc, registered".into(),
            ours: milliseconds_over(ours, link),
            budget: "+2 ms",
            ogrt_0_5: "28.1 ms (+7.3)",
            xalt: "79.2 ms (+61.6)",
        },
        figure("the same, pair by pair", in_pairs(1, 0), "+2 ms"),
        figure("the same, the server absent", over(&later, 1), "+2 ms"),
        figure("the same, the server hangs", over(&later, 2), "+2 ms"),
        figure("the same, the server refuses it", over(&later, 3), "+2 ms"),
        figure("absent, the first link in 30 s", over(&first, 1), "+52 ms"),
        figure("hanging, the first link in 30 s", over(&first, 2), "+52 ms"),
        figure("refusing, the first link in 30 s", over(&first, 3), "+52 ms"),
        figure("the first link of all by a compiler", over(&unmet, 1), ""),
        figure("gcc -c h.c, bare", format!("{:.2} ms", compile.as_secs_f64() * 1e3), ""),
        figure("the same by ogrt-cc", milliseconds_over(our_compile, compile), "+0.3 ms"),
        figure("the same, pair by pair", in_pairs(3, 2), "+0.3 ms"),
        figure("links registered at once, not spooled", format!("{at_once} of {}", measured.runs), "all"),
    ])
}

fn figure(what: impl Into<String>, ours: String, budget: &'static str) -> Figure {
    Figure { what: what.into(), ours, budget, ogrt_0_5: "", xalt: "" }
}
