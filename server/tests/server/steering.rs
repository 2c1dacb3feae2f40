//! What follows from an error of the registry. One that passes is worth waiting for; one that stays
//! holds up nothing.

use crate::{
    backend::on_every_backend,
    daemon::{Daemon, build_frame, wait_for},
    database::Database,
    join::event,
};

/// Registers the builds that these tests' events name, and starts the server again: only the
/// registry knows them then.
fn with_two_builds(more: &str, in_between: impl FnOnce(&Daemon)) -> Daemon {
    let mut daemon = Daemon::start(more);
    let mut stream = daemon.acknowledged();
    stream.send(&build_frame(1, "program")).unwrap();
    stream.send(&build_frame(2, "library")).unwrap();
    stream.wait_for(2).unwrap();
    daemon.registrations_are_settled();
    assert!(daemon.stop().success());
    in_between(&daemon);
    daemon.crash_and_restart(more)
}

#[test]
fn an_event_waits_and_http_says_503_while_the_database_is_away() {
    let Some(database) = Database::alone() else { return };
    let registry = format!("[registry]\nbackend = \"postgres\"\nurl = \"{}\"\n", database.url());
    let daemon = with_two_builds(&(registry + "[join]\nwait = \"5s\"\n"), |_| {});
    database.goes_away();
    daemon.datagram(&event("patient", 1));
    wait_for("the event to wait", || (daemon.metric("ogrt_events_held") == 1).then_some(()));
    for path in
        ["/v1/builds/01010101-0101-0101-0101-010101010101", "/v1/uses/01010101-0101-0101-0101-010101010101"]
    {
        let (status, problem) = daemon.get(path);
        assert_eq!(status, 503, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains("the registry's database is away"), "{problem}");
    }
    assert!(daemon.job_file("patient.json").is_none());
    database.comes_back();
    let job = wait_for("the event", || daemon.job_file("patient.json"));
    let process = &job["processes"][0];
    assert_eq!(
        (&process["build"]["name"], &process["build"]["source"]),
        (&"program".into(), &"record".into())
    );
    assert_eq!(process["shared_objects"][0]["build"]["name"], "library");
}

on_every_backend! {
fn a_damaged_build_holds_up_no_event_and_http_says_500(backend) {
    let more = format!("[join]\nwait = \"60s\"\n{}", backend.configuration());
    let daemon = with_two_builds(&more, |daemon| backend.damage_summaries(&daemon.path().join("data")));
    daemon.datagram(&event("damaged", 1));
    let job = wait_for("the event", || daemon.job_file("damaged.json"));
    let build = &job["processes"][0]["build"];
    assert_eq!((&build["name"], &build["source"]), (&"from the note".into(), &"note".into()));
    assert_eq!(daemon.metric("ogrt_join_waits_total"), 0);
    let (status, problem) = daemon.get("/v1/builds");
    assert_eq!((status, &problem["status"]), (500, &500.into()), "{problem}");
    // Why is for the log: an answer tells nothing of what is kept.
    assert!(!problem["detail"].as_str().unwrap().contains("damaged"), "{problem}");
    assert!(daemon.log().contains("is damaged"), "{}", daemon.log());
}

fn a_wrong_line_of_an_import_is_the_clients_to_mend(backend) {
    let daemon = backend.start("");
    daemon.acknowledged().send(&build_frame(1, "program")).unwrap();
    daemon.registrations_are_settled();
    let mut lines = wait_for("the build", || {
        let lines = daemon.http("GET", "/v1/export", &[]).1;
        (!lines.is_empty()).then_some(lines)
    });
    lines.extend_from_slice(b"nonsense\n");
    let (status, problem) = daemon.http("POST", "/v1/import", &lines);
    let problem = String::from_utf8(problem).unwrap();
    assert_eq!(status, 400, "{problem}");
    assert!(problem.contains("line 2") && problem.contains("0 new builds before it"), "{problem}");
}
}
