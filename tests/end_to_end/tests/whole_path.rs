//! The whole path from a link to an answer, also when things come late or the server is away.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    thread,
    time::Duration,
};

fn first_process(job: &Value) -> &Value {
    &job["processes"][0]
}

#[test]
fn a_program_is_joined_with_its_build() {
    let stage = Stage::new();
    let program = stage.link("hello");
    let signature = stage.signature(&program);
    stage.run_in_job("4711", &program);

    let job = stage.job("4711", |job| first_process(job)["binpath"].is_string());
    let process = first_process(&job);
    assert_eq!(job["job_id"], "4711");
    assert_eq!(process["binpath"], program.to_str().unwrap());
    assert_eq!(process["signature"], *signature);
    assert_eq!(
        (&process["build"]["source"], &process["build"]["signature"]),
        (&"record".into(), &signature.clone().into())
    );

    // The file and the signature lead to the same record.
    let by_file = see(stage.site.ogrt(&["query", "--json"]).arg(&program));
    let by_signature = see(&mut stage.site.ogrt(&["query", "--json", &signature]));
    assert_eq!(text(&by_file.stdout), text(&by_signature.stdout));
    let record: Value = serde_json::from_slice(&by_file.stdout).unwrap();
    assert_eq!(record["signature"], *signature);
    let table = text(&see(&mut stage.site.ogrt(&["query", &signature])).stdout);
    assert!(table.contains(&signature) && table.contains("hello"), "{table}");
}

#[test]
fn a_record_that_comes_after_the_run_is_still_joined() {
    let stage = Stage::new();
    // It is linked with no server listening, so that the record waits in the spool.
    let source = stage.source("early", "early");
    let mut link = stage.command("ogrt-cc");
    let output =
        see(link.args(["gcc", &source, "-o", "early"]).env("OGRT_SERVER", "unix:/nowhere/ogrt.sock"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(stage.spooled(), 1);
    let program = stage.folder().join("early");

    stage.run_in_job("late", &program);
    // This is well inside the wait of 5 s, and long after the event has passed every stage before
    // the join.
    thread::sleep(Duration::from_secs(1));
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), text(&flushed.stderr)), (Some(0), String::new()));
    assert_eq!(stage.spooled(), 0);

    let job = stage.job("late", |job| first_process(job)["binpath"].is_string());
    assert_eq!(first_process(&job)["build"]["source"], "record", "{job}");
}

#[test]
fn a_stopped_server_is_not_noticed_by_the_link_and_nothing_is_lost() {
    let mut stage = Stage::new();
    stage.stop_server();
    let source = stage.source("alone", "alone");
    // The compiler prints a warning, so that there is output to compare.
    let arguments = ["gcc", "-Wunused-macros", "-DUNUSED", &source, "-o", "alone"];
    let bare = see(stage.command("gcc").args(&arguments[1..]));
    let ours = see(stage.command("ogrt-cc").args(arguments));
    assert_eq!(
        (ours.status, text(&ours.stdout), text(&ours.stderr)),
        (bare.status, text(&bare.stdout), text(&bare.stderr))
    );
    assert!(ours.status.success());
    assert_eq!(stage.spooled(), 1);
    let program = stage.folder().join("alone");
    assert_eq!(
        text(&see(&mut stage.site.command(program.to_str().unwrap(), stage.folder())).stdout),
        "alone\n"
    );

    // A link fails with us as it does without us.
    let bare = see(stage.command("gcc").args(["nowhere.o", "-o", "none"]));
    let ours = see(stage.command("ogrt-cc").args(["gcc", "nowhere.o", "-o", "none"]));
    assert_eq!((ours.status, text(&ours.stderr)), (bare.status, text(&bare.stderr)));
    assert!(!ours.status.success());

    let signature = stage.signature(&program);
    let away = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!(away.status.code(), Some(2), "{}", text(&away.stderr));
    assert_eq!(text(&away.stderr).lines().count(), 1, "{}", text(&away.stderr));
    assert_eq!(stage.spooled(), 1, "an unsuccessful flush loses nothing");

    stage.start_server();
    let unknown = see(&mut stage.site.ogrt(&["query", &signature]));
    assert_eq!(unknown.status.code(), Some(1));
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), text(&flushed.stderr)), (Some(0), String::new()));
    assert_eq!(stage.spooled(), 0);
    let known = see(&mut stage.site.ogrt(&["query", &signature]));
    assert_eq!(known.status.code(), Some(0), "{}", text(&known.stderr));
    assert!(text(&known.stdout).contains(&signature));
}

#[test]
fn what_was_registered_survives_a_restart() {
    let mut stage = Stage::new();
    let program = stage.link("kept");
    let signature = stage.signature(&program);
    stage.stop_server();
    stage.start_server();
    let known = see(&mut stage.site.ogrt(&["query", &signature]));
    assert_eq!(known.status.code(), Some(0), "{}", text(&known.stderr));
}

#[test]
fn the_datagram_of_ogrt_0_5_becomes_a_document_over_udp_and_tcp() {
    let datagram = include_bytes!("../../../proto/tests/data/ogrt-0.5-processinfo.bin");
    let stage = Stage::new();
    let server = stage.server.as_ref().unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(datagram, &server.udp).unwrap();
    TcpStream::connect(&server.tcp).unwrap().write_all(datagram).unwrap();

    let both = |job: &Value| job["processes"].as_array().is_some_and(|processes| processes.len() == 2);
    let job = stage.job("TESTJOB", both);
    for process in job["processes"].as_array().unwrap() {
        assert_eq!(process["binpath"], "/usr/bin/x86_64-linux-gnu-gcc-12");
        assert_eq!((&process["pid"], &process["parent_pid"]), (&1296.into(), &1253.into()));
        assert_eq!((&process["username"], &process["hostname"]), (&"root".into(), &"vm".into()));
        assert_eq!(process["shared_objects"].as_array().unwrap().len(), 3);
        assert_eq!(process["loaded_modules"][0]["name"], "gcc/4.6.2");
    }
    // They have no id of their own, so they are two events and not one and its copy.
    assert_ne!(job["processes"][0]["event_id"], job["processes"][1]["event_id"]);
}

#[test]
fn events_that_waited_in_a_spool_are_of_the_processes_that_ran() {
    let mut stage = Stage::new();
    stage.stop_server();
    let mut command = stage.site.ogrt(&["run", "--", "/bin/sh", "-c", "echo $$; /bin/true; /bin/ls /; :"]);
    let ran = see(command.env("JOBID", "spooled").env("OGRT_END", "1"));
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let shell: u64 = text(&ran.stdout).lines().next().unwrap().parse().unwrap();
    assert!(stage.spooled() > 0);
    stage.start_server();
    let flushed = see(&mut stage.site.ogrt(&["flush"]));
    assert_eq!((flushed.status.code(), text(&flushed.stderr)), (Some(0), String::new()));
    let job = stage.job("spooled", |job| job["processes"].as_array().is_some_and(|all| all.len() == 3));
    let own_uid =
        text(&see(std::process::Command::new("id").arg("-u")).stdout).trim().parse::<u64>().unwrap();
    let mut pids = std::collections::BTreeSet::new();
    for process in job["processes"].as_array().unwrap() {
        let pid = process["pid"].as_u64().unwrap();
        assert!(pids.insert(pid), "twice: {job}");
        assert_eq!(process["parent_pid"] == shell, pid != shell, "{process}");
        assert_eq!((&process["identity"], &process["uid"]), (&"claimed".into(), &own_uid.into()));
        assert!(process["end"]["duration_ns"].is_u64() || pid == shell, "{process}");
    }
    // Once more from a copy of the spool it would be the same three.
    assert!(pids.contains(&shell), "{job}");
}
