//! What a build pays: one object linked, one file compiled, and 500 objects linked by each linker,
//! with and without us.
//!
//! The server is live; links are also measured with one that is absent, one that hangs, and one
//! that refuses them. A large link leaves work to its companion. The next link waits until that is
//! done, outside of any measured time.

mod large;
mod servers;

use super::{
    figure::Figure,
    measure::{Measurement, medians_settling},
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
    let link = |server: &str| bench.ours(server, &["-o", "ours", "h.o"]);
    let mut commands = [
        bench.bare(&["-o", "bare", "h.o"]),
        link(&server.unix),
        link(&server.tcp),
        bench.bare(&["-c", "h.c", "-obare.o"]),
        bench.ours(&server.tcp, &["-c", "h.c", "-oours.o"]),
    ];
    // The budgets are a hundredth of what the compiler takes, and less.
    let good = medians_settling(&mut commands, rounds * 3, &mut || {})?;
    let at_once = (2 * good.runs).saturating_sub(bench.spooled(".frames").len());

    let mut commands =
        [bench.bare(&["-o", "bare", "h.o"]), link(&bad.absent), link(&bad.hanging), link(&bad.refusing)];
    let later = medians_settling(&mut commands, rounds, &mut || bench.settle_and_empty())?;
    let first = medians_settling(&mut commands, rounds.min(20), &mut || bench.forget_servers())?;

    let mut unmet = link(&server.tcp);
    unmet.env("XDG_CACHE_HOME", bench.forgetful_cache());
    let mut commands = [bench.bare(&["-o", "bare", "h.o"]), unmet];
    let unmet = medians_settling(&mut commands, rounds.min(20), &mut || bench.forget_compilers())?;

    let time =
        |measured: &Measurement, at: usize| format!("{:.2} ms", measured.medians[at].as_secs_f64() * 1e3);
    Ok(vec![
        Figure::plain("gcc -o h h.o, bare", time(&good, 0)),
        over(&good, "the same by ogrt-cc, registered, Unix socket", 1, 0, Some(8.0))
            .beside("+26 to 32 %", "+277 to 372 %"),
        over(&good, "the same, registered, host:port", 2, 0, Some(9.0)),
        over(&later, "the same, the server absent", 1, 0, Some(9.0)),
        over(&later, "the same, the server hangs", 2, 0, Some(9.0)),
        over(&later, "the same, the server refuses it", 3, 0, Some(9.0)),
        over(&first, "absent, the first link in 30 s", 1, 0, None).of("+52 ms"),
        over(&first, "hanging, the first link in 30 s", 2, 0, None).of("+52 ms"),
        over(&first, "refusing, the first link in 30 s", 3, 0, None).of("+52 ms"),
        over(&unmet, "the first link of all by a compiler", 1, 0, None),
        Figure::plain("gcc -c h.c, bare", time(&good, 3)),
        over(&good, "the same by ogrt-cc", 4, 3, Some(1.5)),
        Figure::plain("links registered at once, not spooled", format!("{at_once} of {}", 2 * good.runs))
            .of("all"),
    ])
}

fn over(measured: &Measurement, what: &str, with: usize, without: usize, budget: Option<f64>) -> Figure {
    let pairs = measured.in_pairs(with, without);
    Figure::share(what, pairs.per_cent, &pairs.milliseconds(), budget)
}
