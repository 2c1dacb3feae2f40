//! What a tracked process pays: `/bin/true`, from posix_spawn to its end, over an empty preloaded library.
//!
//! The empty library is the baseline because preloading anything costs: what is left is what we do.

use super::{
    Figure,
    measure::{medians, over},
};
use crate::{child, daemon::Daemon, site::Site};
use anyhow::Result;
use serde_json::Value;
use std::{
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

const JOB_ID: &str = "bench";

/// Bare, empty, inactive, and active over both transports.
pub fn figures(prefix: &Path, server: &Daemon, folder: &Path, rounds: usize) -> Result<Vec<Figure>> {
    let empty = folder.join("empty.so");
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-nostdlib", "-x", "c", "/dev/null", "-o"]).arg(&empty);
    child::run(&mut gcc, &mut |_| {})?;
    let library = prefix.join("lib/libogrt.so");
    let truth = |preload: Option<&Path>, variables: &[(&str, &str)]| {
        let mut command = Command::new("/bin/true");
        // The loader looks at its environment; a small one, the same for all.
        command.env_clear().env("PATH", "/usr/bin:/bin").env("JOBID", JOB_ID);
        command.envs(variables.iter().copied()).envs(preload.map(|path| ("LD_PRELOAD", path)));
        command
    };
    let mut commands = [
        truth(None, &[]),
        truth(Some(&empty), &[]),
        truth(Some(&library), &[]),
        truth(Some(&library), &[("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &server.unix)]),
        truth(Some(&library), &[("OGRT_ACTIVE", "1"), ("OGRT_SERVER", &server.udp)]),
    ];
    let measured = medians(&mut commands, rounds)?;
    let [bare, empty, inactive, unix, udp] = measured.medians[..] else { unreachable!() };
    let arrived = arrived(&Site::new(prefix, server, folder)?, 2 * measured.runs);
    let absolute = |time: Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
    Ok(vec![
        Figure {
            what: "bare /bin/true",
            ours: absolute(bare),
            budget: "",
            ogrt_0_5: "729 us",
            xalt: "620 to 670 us",
        },
        Figure {
            what: "an empty .so preloaded (the baseline below)",
            ours: absolute(empty),
            budget: "",
            ogrt_0_5: "721 us",
            xalt: "",
        },
        Figure {
            what: "inactive",
            ours: over(inactive, empty),
            budget: "+5 us",
            ogrt_0_5: "+30 us",
            xalt: "+100 us",
        },
        Figure {
            what: "recorded, Unix socket to a live server",
            ours: over(unix, empty),
            budget: "+30 us",
            ogrt_0_5: "",
            xalt: "+750 us (to a file)",
        },
        Figure {
            what: "recorded, UDP on loopback",
            ours: over(udp, empty),
            budget: "+75 us",
            ogrt_0_5: "+451 us",
            xalt: "",
        },
        Figure {
            what: "processes recorded, of both transports",
            ours: format!("{arrived} of {}", 2 * measured.runs),
            budget: "all",
            ogrt_0_5: "",
            xalt: "",
        },
    ])
}

/// Processes of the measured job that the server knows, once it knows all or has had time for it: a process that was
/// fast because its event was lost must be seen.
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
