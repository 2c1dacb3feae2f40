//! 500 objects of 200 MB, by each linker: when their digests are remembered from the link before, as they are of all
//! but the few objects that were compiled anew; and when none is, as in the first link of a project. Each figure stands
//! twice: by the medians, and pair by pair, because these links differ from each other by more than is to be seen.

use super::{Place, figure, servers::BadServers};
use crate::{
    bench::{
        Figure,
        measure::{Measured, medians_settling, per_cent_over},
    },
    child,
    daemon::Daemon,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Copies of one, its symbols under other names.
const OBJECTS: usize = 500;

/// Name, and what it is called in the table.
const LINKERS: [(&str, &str); 4] = [("bfd", "GNU ld"), ("gold", "gold"), ("mold", "mold"), ("lld", "lld")];

/// What a round is to take, or there are more of them: a quick linker's links differ from each other by more than is to
/// be seen.
const ROUND: Duration = Duration::from_millis(1200);

/// With a live server by each linker, then with bad servers by one that leaves nothing of the machine to us.
pub fn figures(place: &Place, server: &Daemon, bad: &BadServers, rounds: usize) -> Result<Vec<Figure>> {
    make_objects(place)?;
    let mut figures = Vec::new();
    for (linker, called) in LINKERS {
        if child::exists(&format!("ld.{linker}")) {
            figures.extend(with_live_server(place, server, linker, called, rounds)?);
        }
    }
    if child::exists("ld.lld") {
        figures.extend(with_bad_servers(place, bad, rounds)?);
    }
    Ok(figures)
}

fn with_live_server(
    place: &Place,
    server: &Daemon,
    linker: &str,
    called: &str,
    rounds: usize,
) -> Result<Vec<Figure>> {
    let choice = format!("-fuse-ld={linker}");
    let mut new = place.ours(&server.tcp, &[&choice, "-o", "ours", "@objects"]);
    new.env("XDG_CACHE_HOME", place.forgetful_cache());
    let mut commands = [
        place.bare(&[&choice, "-o", "bare", "@objects"]),
        place.ours(&server.tcp, &[&choice, "-o", "ours", "@objects"]),
        new,
    ];
    let mut forgotten = 0;
    let mut forget = || {
        place.settle();
        // The digests alone: of a compiler one asks once, and not again for each project.
        let digests = place.forgetful_cache().join("ogrt/digests-2");
        forgotten += usize::from(fs::remove_file(digests).is_ok());
    };
    let rounds = enough(rounds, &mut commands[0])?;
    let measured = medians_settling(&mut commands, rounds, &mut forget)?;
    ensure!(forgotten == measured.runs, "{forgotten} of {} links left digests to forget", measured.runs);
    let bare = measured.medians[0].as_secs_f64();
    let spread = 100.0 * measured.spreads[0].as_secs_f64() / bare;
    Ok(vec![
        figure(
            format!("500 objects, 200 MB, {called}, bare, {rounds} rounds"),
            format!("{bare:.3} s (+-{spread:.1} %)"),
            "",
        ),
        figure(format!("the same by ogrt-cc, objects known, {called}"), over(&measured, 1), "+3 %"),
        figure(format!("the same, all objects new, {called}"), over(&measured, 2), "+3 %"),
    ])
}

/// How much longer a command took than the first.
fn over(measured: &Measured, at: usize) -> String {
    let by_medians = per_cent_over(measured.medians[at], measured.medians[0]);
    format!("{by_medians}, pairs {:+.1} %", measured.in_pairs_per_cent(at, 0))
}

fn with_bad_servers(place: &Place, bad: &BadServers, rounds: usize) -> Result<Vec<Figure>> {
    let of = |server: &str| place.ours(server, &["-fuse-ld=lld", "-o", "ours", "@objects"]);
    let mut commands = [
        place.bare(&["-fuse-ld=lld", "-o", "bare", "@objects"]),
        of(&bad.absent),
        of(&bad.hanging),
        of(&bad.refusing),
    ];
    let rounds = enough(rounds, &mut commands[0])?;
    let measured = medians_settling(&mut commands, rounds, &mut || place.settle_and_empty())?;
    Ok(vec![
        figure("the same by lld, the server absent", over(&measured, 1), "+3 %"),
        figure("the same by lld, the server hangs", over(&measured, 2), "+3 %"),
        figure("the same by lld, the server refuses it", over(&measured, 3), "+3 %"),
    ])
}

/// At least so many rounds, and more of a command that is quick.
fn enough(rounds: usize, command: &mut Command) -> Result<usize> {
    // The first reads what no other has read yet. Not by a pipe: mold leaves a process that holds it after the link.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().context("the linker")?;
    let began = Instant::now();
    command.status().context("the linker")?;
    let links_a_round = ROUND.as_secs_f64() / began.elapsed().as_secs_f64();
    Ok(rounds.max((rounds as f64 * links_a_round) as usize))
}

/// Objects as a large program has them: functions, data, and most of all DWARF.
fn make_objects(place: &Place) -> Result<()> {
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
        let path = place.folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())
    };
    write("large.c", &source)?;
    write("main.c", "int main(void) { return 0; }\n")?;
    child::run(
        &mut place.bare(&["-g", "-O1", "-ffunction-sections", "-c", "large.c", "main.c"]),
        &mut |_| {},
    )?;
    let mut objects = String::from("main.o\n");
    for n in 0..OBJECTS {
        let (object, prefix) = (format!("object{n}.o"), format!("--prefix-symbols=p{n}_"));
        let mut objcopy = Command::new("objcopy");
        objcopy.args([prefix.as_str(), "large.o", &object]).current_dir(place.folder);
        child::run(&mut objcopy, &mut |_| {})?;
        objects += &(object + "\n");
    }
    write("objects", &objects)
}
