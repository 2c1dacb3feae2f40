//! Jobs are known by cluster and id: two clusters give the same ids.

use crate::{
    backend::on_every_store,
    daemon::{Daemon, wait_for},
    process_events::{event, send},
};
use ogrt_proto::{MessageType, ProcessEnd, ProcessInfo, encode_frame};
use prost::Message;
use serde_json::{Value, json};

/// A start in a job, of a cluster that may be unknown.
fn start(number: u32, job: &str, cluster: &str) -> bytes::Bytes {
    let frame = event(number, job, "ann", 3, &[]);
    let mut info = ProcessInfo::decode(&frame[8..]).unwrap();
    info.cluster = (!cluster.is_empty()).then(|| cluster.to_owned().into());
    encode_frame(MessageType::ProcessInfo, &info)
}

fn end(number: u32, job: &str, cluster: &str, duration_ns: u64) -> bytes::Bytes {
    let frame = event(number, job, "ann", 3, &[]);
    let start = ProcessInfo::decode(&frame[8..]).unwrap();
    let end = ProcessEnd {
        event_id: start.event_id,
        job_id: start.job_id,
        cluster: Some(cluster.to_owned().into()),
        duration_ns: Some(duration_ns),
        ..ProcessEnd::default()
    };
    encode_frame(MessageType::ProcessEnd, &end)
}

fn job(daemon: &Daemon, question: &str, processes: usize) -> Value {
    wait_for("the job", || {
        let (status, json) = daemon.get(&format!("/v1/jobs/{question}"));
        (status == 200 && json["processes"].as_array()?.len() == processes).then_some(json)
    })
}

const QUICK: &str = "[join]\nwait = \"0s\"\n";

#[test]
fn files_of_jobs_with_one_id_have_names_of_their_own_also_after_a_crash() {
    let daemon = Daemon::start(QUICK);
    send(&daemon, &[start(1, "900", "alpha"), start(2, "900", "beta"), start(3, "900", "")]);
    let has = |daemon: &Daemon, name: &str, cluster: Option<&str>, processes: usize| {
        wait_for("the file", || {
            let file = daemon.job_file(&format!("{name}.json"))?;
            (file["processes"].as_array()?.len() == processes).then_some(())?;
            assert_eq!((&file["job_id"], file["cluster"].as_str()), (&"900".into(), cluster), "{name}");
            Some(())
        });
    };
    // The names are given in the order of clusters, where events came together.
    has(&daemon, "900", None, 1);
    has(&daemon, "alpha%-900", Some("alpha"), 1);
    has(&daemon, "beta%-900", Some("beta"), 1);
    let daemon = daemon.crash_and_restart(QUICK);
    send(&daemon, &[start(4, "900", "beta"), start(5, "900", ""), start(6, "901", "beta")]);
    has(&daemon, "900", None, 2);
    has(&daemon, "beta%-900", Some("beta"), 2);
    wait_for("the file of a job that only one cluster has", || {
        daemon.job_file("901.json").filter(|file| file["cluster"] == "beta")
    });
}

on_every_store! {
fn jobs_of_two_clusters_with_one_id_are_two_in_every_answer(backend) {
    let daemon = backend.start(QUICK);
    send(
        &daemon,
        &[
            start(1, "900", "alpha"),
            start(2, "900", "beta"),
            start(3, "900", "beta"),
            end(2, "900", "beta", 7),
        ],
    );
    let both = job(&daemon, "900", 3);
    assert_eq!((&both["clusters"], &both["cluster"]), (&json!(["alpha", "beta"]), &Value::Null));
    let of_each: Vec<_> = both["processes"].as_array().unwrap().iter().map(|one| &one["cluster"]).collect();
    assert_eq!(of_each, ["alpha", "beta", "beta"]);
    assert_eq!(both["processes"][1]["end"]["duration_ns"], 7);
    let beta = job(&daemon, "900?cluster=beta", 2);
    assert_eq!((&beta["cluster"], &beta["clusters"]), (&"beta".into(), &Value::Null));
    assert_eq!(daemon.get("/v1/jobs/900?cluster=gamma").0, 404);

    let uses = |filter: &str| daemon.get(&format!("/v1/unregistered?by=job{filter}")).1["jobs"].clone();
    let jobs = wait_for("the counts", || Some(uses("")).filter(|jobs| jobs.as_array().unwrap().len() == 2));
    let processes = |cluster: &str| {
        let mut all = jobs.as_array().unwrap().iter();
        all.find(|job| job["cluster"] == cluster).unwrap()["processes"].clone()
    };
    assert_eq!((processes("alpha"), processes("beta")), (1.into(), 2.into()));
    assert_eq!(uses("&cluster=alpha").as_array().unwrap().len(), 1);
}

fn a_process_that_names_no_cluster_is_of_the_servers(backend) {
    let daemon = backend.start(&format!("cluster = \"own\"\n{QUICK}"));
    send(&daemon, &[start(1, "7", ""), start(2, "7", "other")]);
    let both = job(&daemon, "7", 2);
    assert_eq!(both["clusters"], json!(["other", "own"]));
    assert_eq!(
        (&both["processes"][0]["cluster"], &both["processes"][1]["cluster"]),
        (&"own".into(), &"other".into())
    );
}
}
