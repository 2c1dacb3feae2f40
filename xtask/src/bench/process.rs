//! What a tracked process pays: from posix_spawn to its end, over an empty preloaded library.
//!
//! The empty library is the baseline because preloading anything costs: the rest is what we do. The
//! program is `/bin/true`. All cases take turns in one run, in front of one live server.

use super::{figure::Figure, measure::medians};
use crate::{
    child,
    daemon::{Daemon, Ports},
    site::Site,
};
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
pub fn figures(prefix: &Path, server: &mut Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let programs = Programs::build(folder)?;
    let (unfollowed, server_pid) = (unfollowed(prefix, folder)?, server.pid());
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
        start(truth, &[preload_empty]),
        start(truth, &[]),
        start(truth, &[preload]),
        start(truth, &[preload, active, unix, ("OGRT_SKIP", "/bin/*")]),
        start(truth, &[preload, active, unix, job]),
        start(truth, &[preload, active, udp, job]),
        start(truth, &[preload, active, unix, ("OGRT_END", "1")]),
        start(truth, &[preload, active, ("OGRT_SERVER", &absent)]),
        start(truth, &[audit_empty]),
        start(truth, &[audit, active, unix]),
        start(truth, &[preload, active, ("OGRT_SERVER", &unfollowed.unix)]),
    ];
    let measured = medians(&mut commands, rounds)?;
    let arrived = arrived(&Site::new(prefix, server, folder)?, 2 * measured.runs);
    let followed = follow_cost(server_pid, &mut commands[4], rounds)?;
    let mut large = [
        start(truth, &[preload_empty]),
        start(&programs.many, &[preload_empty]),
        start(&programs.many, &[preload, active, unix]),
        start(&programs.large, &[preload_empty]),
        start(&programs.large, &[preload, active, unix]),
    ];
    let measured_large = medians(&mut large, (rounds / 10).max(10))?;

    let time = |at: usize| format!("{:.0} us", measured.medians[at].as_secs_f64() * 1e6);
    let over = |what: &str, with: usize, without: usize, budget: Option<f64>| {
        let pairs = measured.in_pairs(with, without);
        Figure::share(what, pairs.per_cent, &pairs.microseconds(), budget)
    };
    let tracked = measured.in_pairs(4, 0);
    // What each object adds to ours, as a share of what it adds to the loader's work.
    let many = measured_large.in_pairs(2, 1).seconds - tracked.seconds;
    let loader = measured_large.in_pairs(1, 0).seconds;
    let each = format!("{:+.2} us of {:.2}", many * 1e6 / MANY as f64, loader * 1e6 / MANY as f64);
    let of_large = measured_large.in_pairs(4, 3);
    Ok(vec![
        Figure::plain("an empty .so preloaded (the bare case)", time(0)),
        over("without it", 1, 0, None),
        over("inactive", 2, 0, Some(0.5)).beside("+6 %", "+12 %"),
        over("skipped by OGRT_SKIP", 3, 0, Some(0.5)),
        over("tracked, Unix socket", 4, 0, Some(6.0)).beside("", "+161 % (file)"),
        over("tracked, UDP on loopback", 5, 0, Some(9.0)).beside("+47 to 55 %", ""),
        over("followed, over tracked alone", 4, 10, Some(0.5)),
        Figure::plain("the server's thread that follows, a process", format!("{:.1} us", followed.thread_us))
            .of("15 us"),
        Figure::plain("all of the server, a process", format!("{:.1} us", followed.all_us)),
        over("tracked, Unix socket, OGRT_END=1", 6, 0, None),
        over("tracked, the server is absent", 7, 0, None),
        over("an empty .so in LD_AUDIT", 8, 0, None),
        over("tracked as LD_AUDIT, over that", 9, 8, None),
        Figure::share(
            "each of 300 shared objects, over the loader's",
            100.0 * many / loader,
            &each,
            Some(3.0),
        ),
        Figure::share("an executable of 100 MB", of_large.per_cent, &of_large.microseconds(), Some(6.0)),
        Figure::plain(
            "processes recorded, of both transports",
            format!("{arrived} of {}", 2 * measured.runs),
        )
        .of("all"),
    ])
}

/// A server that follows no process.
fn unfollowed(prefix: &Path, folder: &Path) -> Result<Daemon> {
    let folder = folder.join("unfollowed");
    let program = prefix.join("bin/ogrt-server");
    Daemon::start_with(&program, &folder, &Ports::default(), "[follow]\nprocesses_max = 0\n")
}

/// What the server pays for a process that it follows, in microseconds of CPU time.
struct FollowCost {
    thread_us: f64,
    all_us: f64,
}

/// Starts processes one after the other, and looks at the CPU time of the server's threads.
fn follow_cost(server: u32, command: &mut Command, processes: usize) -> Result<FollowCost> {
    let before = cpu_times(server)?;
    for _ in 0..processes {
        command.status().context("/bin/true")?;
    }
    // What comes late belongs to them as well.
    thread::sleep(Duration::from_secs(1));
    let after = cpu_times(server)?;
    let each = |of: &dyn Fn(&str) -> bool| {
        let sum = |times: &[(String, u64)]| -> u64 {
            times.iter().filter(|(thread, _)| of(thread)).map(|(_, time)| time).sum()
        };
        sum(&after).saturating_sub(sum(&before)) as f64 / 1e3 / processes as f64
    };
    Ok(FollowCost { thread_us: each(&|thread| thread == "follow"), all_us: each(&|_| true) })
}

/// The threads of a process, each with its CPU time in nanoseconds.
fn cpu_times(pid: u32) -> Result<Vec<(String, u64)>> {
    let mut times = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = thread?.path();
        let name = fs::read_to_string(folder.join("comm"))?.trim().to_owned();
        let text = fs::read_to_string(folder.join("schedstat"))?;
        let time = text.split(' ').next().and_then(|time| time.parse().ok());
        times.push((name, time.with_context(|| format!("{}/schedstat: {text}", folder.display()))?));
    }
    Ok(times)
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
        let job: Value = child::capture(&mut site.ogrt(&["job", "--json", JOB_ID]))
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
