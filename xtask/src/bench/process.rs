//! What a tracked process pays: `/bin/true`, from posix_spawn to its end, over an empty preloaded library.
//!
//! The empty library is the baseline because preloading anything costs: what is left is what we do.

use super::{
    Figure,
    measure::{medians, over},
};
use crate::{child, daemon::Daemon};
use anyhow::Result;
use std::{path::Path, process::Command};

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
        command.env_clear().env("PATH", "/usr/bin:/bin").env("JOBID", "bench");
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
    let [bare, empty, inactive, unix, udp] = medians(&mut commands, rounds)?[..] else { unreachable!() };
    let absolute = |time: std::time::Duration| format!("{:.0} us", time.as_secs_f64() * 1e6);
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
    ])
}
