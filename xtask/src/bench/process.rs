//! What a tracked process pays: from posix_spawn to its end, over an empty preloaded library.
//!
//! The empty library is the baseline because preloading anything costs: the rest is what we do. The
//! program is `/bin/true`. All cases take turns in one run, in front of one live server.

use super::{
    Figure,
    measure::{medians, over},
};
use crate::{child, daemon::Daemon, site::Site};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The job of the processes that are counted afterwards.
const JOB_ID: &str = "bench";
/// Shared objects of the program that has many.
const MANY: usize = 300;

/// Every way a process can meet us, then a program with many shared objects and a large one.
pub fn figures(prefix: &Path, server: &Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let programs = Programs::build(folder)?;
    let library = prefix.join("lib/libogrt.so");
    let absent = format!("unix:{}", folder.join("absent.sock").display());
    let start = |program: &Path, variables: &[(&str, &str)]| {
        let mut command = Command::new(program);
        // The loader reads its environment, so that is small and the same for all.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("JOBID", "other")
            .envs(variables.iter().copied());
        command
    };
    let (empty, ours) = (programs.empty.display().to_string(), library.display().to_string());
    let truth = Path::new("/bin/true");
    let [preload_empty, preload] = [("LD_PRELOAD", &*empty), ("LD_PRELOAD", &*ours)];
    let [audit_empty, audit] = [("LD_AUDIT", &*empty), ("LD_AUDIT", &*ours)];
    let [active, job] = [("OGRT_ACTIVE", "1"), ("JOBID", JOB_ID)];
    let [unix, udp] = [("OGRT_SERVER", &*server.unix), ("OGRT_SERVER", &*server.udp)];
    let mut commands = [
        start(truth, &[]),
        start(truth, &[preload_empty]),
        start(truth, &[preload]),
        start(truth, &[preload, active, unix, ("OGRT_SKIP", "/bin/*")]),
        start(truth, &[preload, active, unix, job]),
        start(truth, &[preload, active, unix, ("OGRT_END", "1")]),
        start(truth, &[preload, active, udp, job]),
        start(truth, &[preload, active, ("OGRT_SERVER", &absent)]),
        start(truth, &[audit_empty]),
        start(truth, &[audit, active, unix]),
    ];
    let measured = medians(&mut commands, rounds)?;
    let [bare, empty, inactive, skipped, by_unix, ended, by_udp, unheard, audited, by_audit] =
        measured.medians[..]
    else {
        unreachable!("a median for each command");
    };
    let arrived = arrived(&Site::new(prefix, server, folder)?, 2 * measured.runs);
    let mut large = [
        start(&programs.many, &[preload_empty]),
        start(&programs.many, &[preload, active, unix]),
        start(&programs.large, &[preload_empty]),
        start(&programs.large, &[preload, active, unix]),
    ];
    let [many_empty, many, large_empty, large] = medians(&mut large, (rounds / 10).max(10))?.medians[..]
    else {
        unreachable!("a median for each command");
    };
    let absolute = |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
    let each = |time: Duration| format!("{:+.2} us", time.as_secs_f64() * 1e6 / MANY as f64);
    let figure =
        |what: &str, ours, budget, ogrt_0_5, xalt| Figure { what: what.into(), ours, budget, ogrt_0_5, xalt };
    let of_each = many.saturating_sub(many_empty).saturating_sub(by_unix.saturating_sub(empty));
    Ok(vec![
        figure("bare /bin/true", absolute(bare), "", "729 us", "620 to 670 us"),
        figure("an empty .so preloaded (the baseline)", absolute(empty), "", "721 us", ""),
        figure("inactive", over(inactive, empty), "+5 us", "+30 us", ""),
        figure("skipped by OGRT_SKIP", over(skipped, empty), "+5 us", "", "+100 us"),
        figure("tracked, Unix socket", over(by_unix, empty), "+30 us", "", "+750 us (to a file)"),
        figure("the same with OGRT_END=1", over(ended, empty), "+50 us", "", ""),
        figure("tracked, UDP on loopback", over(by_udp, empty), "+95 us", "+451 us", ""),
        figure("tracked, the server is absent", over(unheard, empty), "+2000 us", "", ""),
        figure("an empty .so in LD_AUDIT", over(audited, empty), "", "", ""),
        figure("tracked, as LD_AUDIT", over(by_audit, empty), "", "", ""),
        figure("each of 300 further shared objects", each(of_each), "+1 us", "", ""),
        figure("an executable of 100 MB", over(large, large_empty), "+50 us", "", "+630 ms"),
        figure(
            "processes recorded, of both transports",
            format!("{arrived} of {}", 2 * measured.runs),
            "all",
            "",
            "",
        ),
    ])
}

/// The programs that are measured besides `/bin/true`.
struct Programs {
    /// A library that does nothing; in LD_AUDIT it asks to be unloaded.
    empty: PathBuf,
    /// A program that is linked with [`MANY`] shared objects.
    many: PathBuf,
    /// A program of 100 MB.
    large: PathBuf,
}

impl Programs {
    fn build(folder: &Path) -> Result<Programs> {
        let compile = |name: &str, source: &str, options: &[&str]| -> Result<PathBuf> {
            let (c, out) = (folder.join(format!("{name}.c")), folder.join(name));
            fs::write(&c, source).with_context(|| c.display().to_string())?;
            let mut gcc = Command::new("gcc");
            gcc.current_dir(folder).arg("-o").arg(&out).arg(&c).args(options);
            child::run(&mut gcc, &mut |_| {})?;
            Ok(out)
        };
        let shared = ["-shared", "-fPIC", "-nostdlib"];
        let answer = "unsigned la_version(unsigned version) { (void)version; return 0; }\n";
        let empty = compile("empty.so", answer, &shared)?;
        // One library under many names: without a soname the loader takes each for another one.
        let one = compile("lib0.so", "int one;\n", &[&shared[..], &["-Wl,--build-id=sha1"]].concat())?;
        let mut names =
            vec!["-Wl,--no-as-needed".to_owned(), "-Wl,-rpath,$ORIGIN".to_owned(), "-L.".to_owned()];
        for at in 1..=MANY {
            let name = folder.join(format!("libmany{at}.so"));
            fs::copy(&one, &name).with_context(|| name.display().to_string())?;
            names.push(format!("-lmany{at}"));
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let large =
            "__asm__(\".section .rodata\\n.zero 100 << 20\\n.text\");\nint main(void) { return 0; }\n";
        Ok(Programs {
            empty,
            many: compile("many", "int main(void) { return 0; }\n", &names)?,
            large: compile("large", large, &[])?,
        })
    }
}

/// How many processes of the measured job the server knows, once it knows all or has had time for
/// them. A process that was fast because its event was lost must be seen.
fn arrived(site: &Site, expected: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let job: Value = child::capture(&mut site.ogrt(&["job", JOB_ID]))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let processes = job["processes"].as_array().map_or(0, Vec::len);
        if processes >= expected || Instant::now() > deadline {
            return processes;
        }
        thread::sleep(Duration::from_millis(200));
    }
}
