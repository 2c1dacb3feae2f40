//! What a build pays: one object linked, one file compiled, and 500 objects linked by each linker, with and without us.
//!
//! The server is live; one object is also linked with a server that is absent, and with one that hangs. What a large link
//! leaves to its companion is waited for after each link, outside its time, so that it does not burden the next.

use super::{
    Figure,
    measure::{medians_settling, milliseconds_over, per_cent_over},
};
use crate::{child, daemon::Daemon};
use anyhow::{Context, Result};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

/// Objects of the large link: copies of one, its symbols under other names.
const OBJECTS: usize = 500;

/// Linkers of the large link: name, and the two lines of the table.
const LINKERS: [(&str, &str, &str); 4] = [
    ("bfd", "500 objects, 200 MB, GNU ld, bare", "the same by ogrt-cc, GNU ld"),
    ("gold", "500 objects, 200 MB, gold, bare", "the same by ogrt-cc, gold"),
    ("lld", "500 objects, 200 MB, lld, bare", "the same by ogrt-cc, lld"),
    ("mold", "500 objects, 200 MB, mold, bare", "the same by ogrt-cc, mold"),
];

/// The tools and the folder of the measurement.
struct Place<'a> {
    prefix: &'a Path,
    folder: &'a Path,
}

impl Place<'_> {
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

    /// With a spool of its own, in which no other server's failure takes the place of this one's.
    fn ours_hanging(&self, server: &str) -> Command {
        let mut command = self.ours(server, &["-o", "hangs", "h.o"]);
        command.env("OGRT_SPOOL_DIR", self.spool_hanging());
        command
    }

    fn spool_hanging(&self) -> PathBuf {
        self.folder.join("spool-hanging")
    }

    fn spool(&self) -> PathBuf {
        self.folder.join("spool")
    }

    fn spooled(&self, suffix: &str) -> usize {
        let files = fs::read_dir(self.spool()).into_iter().flatten().flatten();
        files.filter(|file| file.file_name().to_string_lossy().ends_with(suffix)).count()
    }

    /// Waits for companions.
    fn settle(&self) {
        while self.spooled(".unfinished") + self.spooled(".sending") > 0 {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Small links, then large ones.
pub fn figures(prefix: &Path, server: &Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let place = Place { prefix, folder };
    let mut figures = small(&place, server, rounds)?;
    make_objects(&place)?;
    for (linker, bare, ours) in LINKERS {
        if child::exists(&format!("ld.{linker}")) {
            let measured = large(&place, server, linker, (rounds / 10).max(3))?;
            figures.push(figure(bare, format!("{:.3} s", measured[0].as_secs_f64()), ""));
            figures.push(figure(ours, per_cent_over(measured[1], measured[0]), "+3 %"));
        }
    }
    Ok(figures)
}

fn small(place: &Place, server: &Daemon, rounds: usize) -> Result<Vec<Figure>> {
    let source = place.folder.join("h.c");
    let program = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";
    fs::write(&source, program).with_context(|| source.display().to_string())?;
    child::run(&mut place.bare(&["-c", "h.c", "-oh.o"]), &mut |_| {})?;
    // It takes connections, and never says a word.
    let hangs = TcpListener::bind("127.0.0.1:0").context("a port")?;
    let hanging = hangs.local_addr().context("a port")?.to_string();
    let mut commands = [
        place.bare(&["-o", "bare", "h.o"]),
        place.ours(&server.tcp, &["-o", "ours", "h.o"]),
        place.bare(&["-c", "h.c", "-obare.o"]),
        place.ours(&server.tcp, &["-c", "h.c", "-oours.o"]),
    ];
    let measured = medians_settling(&mut commands, rounds, &mut || {})?;
    let [link, ours, compile, our_compile] = measured.medians[..] else { unreachable!() };
    let at_once = measured.runs.saturating_sub(place.spooled(".frames"));
    let mut commands = [
        place.bare(&["-o", "bare", "h.o"]),
        place.ours("127.0.0.1:1", &["-o", "absent", "h.o"]),
        place.ours_hanging(&hanging),
    ];
    let apart = medians_settling(&mut commands, rounds, &mut || {})?;
    let [link_again, absent, hung] = apart.medians[..] else { unreachable!() };
    let mut first = [place.ours_hanging(&hanging)];
    let stamp = place.spool_hanging().join("server-failed");
    // Each link is the first that meets the server.
    let meeting = medians_settling(&mut first, rounds.min(10), &mut || drop(fs::remove_file(&stamp)))?;
    // The spool of those links is not to be delivered by the next.
    let _ = fs::remove_dir_all(place.spool());
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
        figure("the same, the server absent", milliseconds_over(absent, link_again), "+2 ms"),
        figure("the same, the server hangs, later links", milliseconds_over(hung, link_again), "+2 ms"),
        figure("the first of them, every 30 s", milliseconds_over(meeting.medians[0], link_again), "+52 ms"),
        figure("gcc -c h.c, bare", format!("{:.2} ms", compile.as_secs_f64() * 1e3), ""),
        figure("the same by ogrt-cc", milliseconds_over(our_compile, compile), "+0.3 ms"),
        figure("links registered at once, not spooled", format!("{at_once} of {}", measured.runs), "all"),
    ])
}

/// Bare and ours.
fn large(place: &Place, server: &Daemon, linker: &str, rounds: usize) -> Result<Vec<Duration>> {
    let choice = format!("-fuse-ld={linker}");
    let mut commands = [
        place.bare(&[&choice, "-o", "bare", "@objects"]),
        place.ours(&server.tcp, &[&choice, "-o", "ours", "@objects"]),
    ];
    Ok(medians_settling(&mut commands, rounds, &mut || place.settle())?.medians)
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

fn figure(what: &'static str, ours: String, budget: &'static str) -> Figure {
    Figure { what, ours, budget, ogrt_0_5: "", xalt: "" }
}
