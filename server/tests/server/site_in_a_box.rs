//! A server that holds a site in a box, for tests that ask a whole site.

use crate::{
    daemon::{Daemon, WITHOUT_FILES},
    security::token,
};
use ogrt_load::site::{Addresses, FakeClock, Filling, Site, Size};
use std::{
    ffi::OsStr,
    path::Path,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// What the token of a site permits.
pub const SCOPES: [&str; 4] = ["add", "site", "--scope", "register,relay,administer"];

/// The seed of the site that tests share.
pub const SEED: u64 = 20_261_130;

/// A server with 14 months of a site of so many jobs, until now. A job has seven processes.
///
/// `site.landmarks` names what there is to look for: a job that failed, two builds of a program, an
/// old library, a job with very many processes. 300 jobs take some three seconds.
pub fn site_server(jobs: u64) -> (Daemon, Site) {
    let directory = tempfile::tempdir().unwrap();
    let clock = FakeClock::new(&directory.path().join("clock")).unwrap();
    let since = Instant::now();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let site = Site::new(SEED, Size::of_jobs(jobs, now_s));
    let token = token(&directory.path().join("data"), &SCOPES);
    Filling::begin(&site, &clock).unwrap();
    let environment = clock.environment();
    let environment: Vec<(&str, &OsStr)> =
        environment.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    let daemon = Daemon::start_with(directory, WITHOUT_FILES, &environment);
    let filling = Filling { site: &site, server: addresses(&daemon), token, clock: &clock };
    filling.run().unwrap_or_else(|error| panic!("{error:#}\n{}", daemon.log()));
    println!("{} processes of {jobs} jobs in {:?}", site.processes.len(), since.elapsed());
    (daemon, site)
}

/// The server's addresses, for [`Filling`].
pub fn addresses(daemon: &Daemon) -> Addresses {
    Addresses { tcp: daemon.tcp.clone(), http: daemon.http.clone() }
}

/// A token for all that a site sends, which the server that starts in this directory knows.
pub fn site_token(directory: &Path) -> String {
    token(&directory.join("data"), &SCOPES)
}

#[test]
fn a_site_in_a_box_has_what_its_landmarks_say() {
    let (daemon, site) = site_server(300);
    let land = &site.landmarks;
    let job = |id: &str, cluster: &str| {
        let (status, jobs) = daemon.get(&format!("/v1/jobs?cluster={cluster}&limit=1000"));
        assert_eq!(status, 200, "{jobs}");
        let is_it = |job: &&serde_json::Value| job["job_id"] == id;
        jobs["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .find(is_it)
            .cloned()
            .unwrap_or_else(|| panic!("no {id}: {jobs}"))
    };
    for (id, cluster, user, state) in [
        (&land.failed_job, "alpha", "alice", "killed"),
        (&land.out_of_memory_job, "beta", "bob", "oom"),
        (&land.time_limit_job, "alpha", "carol", "killed"),
        (&land.completed_job, "alpha", "ann", "completed"),
        (&land.running_job, "alpha", "ann", "running"),
        (&land.large_job, "alpha", "dave", "completed"),
    ] {
        let job = job(id, cluster);
        let told = [&job["username"], &job["state"], &job["identity"]];
        assert_eq!(told, [&user.into(), &state.into(), &serde_json::Value::from("kernel")], "{job}");
    }
    // All months have passed, and it was lately.
    let began_s = job(&land.failed_job, "alpha")["first_ns"].as_i64().unwrap() / 1_000_000_000;
    assert!(began_s > site.size.moments.last().unwrap() - 86_400, "{began_s}");
    let large = job(&land.large_job, "alpha");
    assert!(large["processes"].as_u64().unwrap() > u64::from(site.size.ranks), "{large}");
    let (status, tasks) = daemon.get(&format!("/v1/jobs?array_job={}", land.array));
    assert_eq!((status, tasks["jobs"].as_array().unwrap().len()), (200, 8), "{tasks}");
    for signature in &land.two_builds {
        let (status, build) = daemon.get(&format!("/v1/builds/{signature}"));
        assert_eq!((status, &build["metadata"]["name"]), (200, &(*land.two_builds_name).into()), "{build}");
    }
    let (name, below) = &land.old_library;
    let (status, old) = daemon.get(&format!("/v1/uses?software={name}&version=%3C{below}"));
    assert_eq!(status, 200, "{old}");
    let expected = site.processes.iter().filter(|process| {
        let loads = site.program(process).libraries.iter().map(|index| &site.libraries[*index]);
        loads.into_iter().any(|file| file.version == "1.1.4")
    });
    assert_eq!(old["total"]["processes"], expected.count(), "{old}");
    let (status, contained) = daemon.get(&format!("/v1/dependents/{}", land.contained_library));
    assert!(status == 200 && contained["count"].as_u64().unwrap() > 10, "{contained}");
    let (status, unknown) = daemon.get("/v1/unregistered?limit=1000");
    let programs = unknown["programs"].as_array().unwrap();
    let is_it = |program: &serde_json::Value| program["binpath"] == *land.unknown_program;
    assert!(status == 200 && programs.iter().any(is_it), "{unknown}");
}
