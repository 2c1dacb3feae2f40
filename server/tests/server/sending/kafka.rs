//! `kafka` against a real broker, read back by Kafka's own consumer.

use super::{ends, id_text, send, services::Kafka, starts, wait_for_output};
use crate::daemon::{Daemon, wait_for};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn records_are_there_though_the_broker_goes_away_in_the_order_of_each_process() {
    let Some(mut kafka) = Kafka::own() else { return };
    let daemon = Daemon::start(&format!(
        "[outputs.kafka]\ntype = \"kafka\"\nbrokers = [\"{}\"]\ntopic = \"processes\"\ncreate_partitions = 3\n\
         batch_events = 100\nlinger = \"10ms\"\nbackoff_max = \"300ms\"\ntimeout = \"5s\"\n",
        kafka.address
    ));
    send(&daemon, starts(14, 0..600));
    send(&daemon, ends(14, 0..600));
    wait_for_output(&daemon, "kafka", 1200);
    kafka.kill();
    send(&daemon, starts(14, 600..1000));
    send(&daemon, ends(14, 600..1000));
    wait_for("bad health", || (daemon.get("/healthz").0 == 503).then_some(()));
    kafka.restart();
    wait_for_output(&daemon, "kafka", 2000);

    let records = kafka.read("processes");
    let partitions: BTreeSet<&str> = records.iter().map(|record| record.partition.as_str()).collect();
    assert_eq!(partitions.len(), 3);
    let keys: BTreeSet<&str> = records.iter().map(|record| record.key.as_str()).collect();
    assert_eq!(keys.len(), 2000);
    // Where each was first: a start before its end, in the same partition.
    let mut first = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        first.entry(record.key.clone()).or_insert((record.partition.clone(), place));
    }
    for number in 0..1000 {
        let start = id_text(14, number);
        let (begins, ends) = (&first[&start], &first[&format!("{start}-end")]);
        assert_eq!(begins.0, ends.0, "{start}");
        assert!(begins.1 < ends.1, "{start}");
    }
    let document: serde_json::Value = serde_json::from_str(&records[0].value).unwrap();
    assert!(records[0].key.starts_with(document["event_id"].as_str().unwrap()));
    println!("{} records of {} documents", records.len(), keys.len());
}
