//! 500 objects of 200 MB, by each linker.
//!
//! Each linker runs with the digests remembered from the link before, as they are but for the few
//! objects that were compiled anew, and without them, as in the first link of a project.

use super::{LinkBench, over, servers::BadServers};
use crate::{
    bench::{figure::Figure, measure::medians_settling},
    child,
    daemon::Daemon,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Number of objects: copies of one, with their symbols renamed.
const OBJECTS: usize = 500;

/// Each linker: its name for `-fuse-ld`, and its name in the table.
const LINKERS: [(&str, &str); 4] = [("bfd", "GNU ld"), ("gold", "gold"), ("mold", "mold"), ("lld", "lld")];

/// What a large link may cost, in per cent.
const BUDGET: Option<f64> = Some(2.0);

/// The least time of a round. A quick linker links several times in it: its single links differ by
/// more than we cost.
const ROUND: Duration = Duration::from_millis(1200);

/// Links by each linker with a live server, then with bad servers by lld, which leaves none of the
/// machine's time to us.
pub fn figures(bench: &LinkBench, server: &Daemon, bad: &BadServers, rounds: usize) -> Result<Vec<Figure>> {
    make_objects(bench)?;
    let mut figures = Vec::new();
    for (linker, called) in LINKERS {
        if child::exists(&format!("ld.{linker}")) {
            figures.extend(with_live_server(bench, server, linker, called, rounds)?);
        }
    }
    if child::exists("ld.lld") {
        figures.extend(with_bad_servers(bench, bad, rounds)?);
    }
    Ok(figures)
}

fn with_live_server(
    bench: &LinkBench,
    server: &Daemon,
    linker: &str,
    called: &str,
    rounds: usize,
) -> Result<Vec<Figure>> {
    let choice = format!("-fuse-ld={linker}");
    let mut new = bench.ours(&server.tcp, &[&choice, "-o", "ours", "@objects"]);
    new.env("XDG_CACHE_HOME", bench.forgetful_cache());
    let mut commands = [
        bench.bare(&[&choice, "-o", "bare", "@objects"]),
        bench.ours(&server.tcp, &[&choice, "-o", "ours", "@objects"]),
        new,
    ];
    let mut forgotten = 0;
    let mut forget = || {
        bench.settle();
        // The digests alone: a compiler is asked once, and not again for each project.
        let digests = bench.forgetful_cache().join("ogrt/digests-2");
        forgotten += usize::from(fs::remove_file(digests).is_ok());
    };
    let rounds = enough(rounds, &mut commands[0])?;
    let measured = medians_settling(&mut commands, rounds, &mut forget)?;
    ensure!(
        forgotten == measured.runs,
        "only {forgotten} of {} links left digests in the cache",
        measured.runs
    );
    let bare = measured.medians[0].as_secs_f64();
    let spread = 100.0 * measured.spreads[0].as_secs_f64() / bare;
    Ok(vec![
        Figure::plain(
            format!("500 objects, 200 MB, {called}, bare, {rounds} rounds"),
            format!("{bare:.3} s (+-{spread:.1} %)"),
        ),
        over(&measured, &format!("the same by ogrt-cc, objects known, {called}"), 1, 0, BUDGET),
        over(&measured, &format!("the same, all objects new, {called}"), 2, 0, BUDGET),
    ])
}

fn with_bad_servers(bench: &LinkBench, bad: &BadServers, rounds: usize) -> Result<Vec<Figure>> {
    let of = |server: &str| bench.ours(server, &["-fuse-ld=lld", "-o", "ours", "@objects"]);
    let mut commands = [
        bench.bare(&["-fuse-ld=lld", "-o", "bare", "@objects"]),
        of(&bad.absent),
        of(&bad.hanging),
        of(&bad.refusing),
    ];
    let rounds = enough(rounds, &mut commands[0])?;
    let measured = medians_settling(&mut commands, rounds, &mut || bench.settle_and_empty())?;
    Ok(vec![
        over(&measured, "the same by lld, the server absent", 1, 0, BUDGET),
        over(&measured, "the same by lld, the server hangs", 2, 0, BUDGET),
        over(&measured, "the same by lld, the server refuses it", 3, 0, BUDGET),
    ])
}

/// `rounds`, or more for a quick command.
fn enough(rounds: usize, command: &mut Command) -> Result<usize> {
    // The first link fills the page cache. Its output is no pipe: mold leaves a process that would
    // hold it open after the link.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().context("cannot run the linker")?;
    let began = Instant::now();
    command.status().context("cannot run the linker")?;
    let links_a_round = ROUND.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(rounds.max((rounds as f64 * links_a_round) as usize))
}

/// Objects as a large program has them: functions, data, and most of all DWARF.
fn make_objects(bench: &LinkBench) -> Result<()> {
    const FUNCTIONS: usize = 320;
    let source: String = (0..FUNCTIONS)
        .map(|n| {
            format!(
                "struct s{n} {{ int a, b; struct s{n} *next; char name[{}]; }};\n\
                 int f{n}(struct s{n} *p, int x) {{ int t = x; for (int i = 0; i < x; i++) {{ \
                 for (struct s{n} *q = p; q; q = q->next) {{ t += q->a * {} + q->b; if (t > {n}) t -= x; }} }} \
                 return t; }}\n",
                n % 50 + 8,
                n + 3
            )
        })
        .collect();
    let write = |name: &str, text: &str| {
        let path = bench.folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("large.c", &source)?;
    write("main.c", "int main(void) { return 0; }\n")?;
    child::run(
        &mut bench.bare(&["-g", "-O1", "-ffunction-sections", "-c", "large.c", "main.c"]),
        &mut |_| {},
    )?;
    let mut objects = String::from("main.o\n");
    for n in 0..OBJECTS {
        let (object, prefix) = (format!("object{n}.o"), format!("--prefix-symbols=p{n}_"));
        let mut objcopy = Command::new("objcopy");
        objcopy.args([prefix.as_str(), "large.o", &object]).current_dir(bench.folder);
        child::run(&mut objcopy, &mut |_| {})?;
        objects += &(object + "\n");
    }
    write("objects", &objects)
}
