//! A job's document, put together from its pages.

use crate::api_client::ApiClient;
use anyhow::{Context, Result};
use ogrt_answers::{job_document::Job, job_process::Texts};
use serde_json::{Value, json};
use std::collections::HashSet;

/// Processes of each page after the first, where all are to be printed as they are.
const PAGE: &str = "100000";

/// Processes of each page, where little of each is kept.
const SMALL_PAGE: &str = "5000";

/// The document of a job, whole, as JSON text; `None` where the server has no such job. Without a
/// cluster, those of all clusters.
pub fn whole_document(server: &ApiClient, cluster: Option<&str>, job_id: &str) -> Result<Option<Vec<u8>>> {
    let Some(first) = server.job(cluster, job_id, &[])? else { return Ok(None) };
    let mut job: Value = read(server, &first)?;
    // Most jobs are one page: their text stays as the server wrote it.
    if next(&job).is_none() {
        return Ok(Some(first));
    }
    drop(first);
    let mut following = next(&job);
    while let Some(cursor) = following {
        // A job may be deleted while it is read.
        let Some(mut page) = page(server, cluster, job_id, PAGE, Some(cursor))? else { break };
        following = next(&page);
        let processes = take(&mut page, "processes");
        let before = job["processes"].as_array().map_or(0, Vec::len);
        if let Some(all) = job["processes"].as_array_mut() {
            all.extend(processes);
        }
        append(&mut job, page, before);
    }
    Ok(Some(serde_json::to_vec(&job)?))
}

/// The job, of whose processes only what tables need is kept; `None` where the server has no such
/// job.
pub fn whole_job(server: &ApiClient, cluster: Option<&str>, job_id: &str) -> Result<Option<Job>> {
    let Some(mut document) = page(server, cluster, job_id, SMALL_PAGE, None)? else { return Ok(None) };
    let (mut job, mut texts) = (Job::default(), Texts::default());
    job.add_processes(&document, &mut texts);
    document["processes"].take();
    let mut following = next(&document);
    while let Some(cursor) = following {
        let Some(mut page) = page(server, cluster, job_id, SMALL_PAGE, Some(cursor))? else { break };
        following = next(&page);
        let before = job.processes.len();
        job.add_processes(&page, &mut texts);
        // Each process has its name.
        ["processes", "names"].iter().for_each(|key| drop(page[*key].take()));
        append(&mut document, page, before);
    }
    job.take_facts(&document);
    Ok(Some(job))
}

fn page(
    server: &ApiClient,
    cluster: Option<&str>,
    job_id: &str,
    limit: &str,
    cursor: Option<String>,
) -> Result<Option<Value>> {
    let mut question = vec![("limit", limit.to_owned())];
    question.extend(cursor.map(|cursor| ("cursor", cursor)));
    server.job(cluster, job_id, &question)?.map(|page| read(server, &page)).transpose()
}

fn read(server: &ApiClient, page: &[u8]) -> Result<Value> {
    serde_json::from_slice(page).with_context(|| server.address().to_owned())
}

fn next(page: &Value) -> Option<String> {
    page["next"].as_str().map(str::to_owned)
}

fn take(page: &mut Value, key: &str) -> Vec<Value> {
    match page[key].take() {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

/// Puts a page behind those before it, which have so many processes. Its own processes were taken
/// before. Whether the job is cut is what the last page says: the first says it of itself.
fn append(job: &mut Value, mut page: Value, before: usize) {
    for mut launch in take(&mut page, "launches") {
        for index in launch["processes"].as_array_mut().into_iter().flatten() {
            *index = (before as u64 + index.as_u64().unwrap_or(0)).into();
        }
        if job["launches"].is_null() {
            job["launches"] = Value::Array(Vec::new());
        }
        let Some(all) = job["launches"].as_array_mut() else { continue };
        match all.iter_mut().rev().find(|known| is_rest_of(known, &launch)) {
            Some(known) => join(known, launch),
            None => all.push(launch),
        }
    }
    append_names(job, &mut page);
    if let Some(job) = job.as_object_mut() {
        job.remove("next");
        if page["names_truncated"] == true {
            job.insert("names_truncated".to_owned(), true.into());
        }
        match page["truncated"] == true {
            true => job.insert("truncated".to_owned(), true.into()),
            false => job.remove("truncated"),
        };
    }
}

/// Adds the names of files that pages before do not have.
fn append_names(job: &mut Value, page: &mut Value) {
    let key = |file: &Value| (file["build_id"].clone(), file["path"].clone());
    let more = take(page, "names");
    if more.is_empty() {
        return;
    }
    let mut all = take(job, "names");
    let known: HashSet<_> = all.iter().map(key).collect();
    all.extend(more.into_iter().filter(|file| !known.contains(&key(file))));
    job["names"] = all.into();
}

/// True if the ranks of a page belong to a launch of the pages before: one that its launcher calls
/// the same; where it has no name, one of the same program with room for them.
fn is_rest_of(known: &Value, launch: &Value) -> bool {
    let ranks = |launch: &Value| launch["ranks"].as_u64().unwrap_or(0);
    if !(known["launch"].is_null() && launch["launch"].is_null()) {
        return known["launch"] == launch["launch"];
    }
    ["binpath", "signature", "job_step", "size"].iter().all(|key| known[*key] == launch[*key])
        && launch["size"].as_u64().is_some_and(|size| ranks(known) + ranks(launch) <= size)
}

/// Adds the programs of further ranks to those of a launch, which names them where it has several.
fn join_programs(known: &mut Value, more: &Value) {
    let programs = |launch: &Value| match launch["programs"].as_array() {
        Some(programs) => programs.clone(),
        None => vec![json!({ "binpath": launch["binpath"], "ranks": launch["ranks"] })],
    };
    let mut all = programs(known);
    for program in programs(more) {
        match all.iter_mut().find(|known| known["binpath"] == program["binpath"]) {
            Some(known) => {
                let ranks = |program: &Value| program["ranks"].as_u64().unwrap_or(0);
                known["ranks"] = (ranks(known) + ranks(&program)).into();
            }
            None => all.push(program),
        }
    }
    if all.len() > 1 {
        known["programs"] = all.into();
    }
}

fn join(known: &mut Value, mut more: Value) {
    join_programs(known, &more);
    for key in ["ranks", "ended"] {
        known[key] = (known[key].as_u64().unwrap_or(0) + more[key].as_u64().unwrap_or(0)).into();
    }
    for key in ["processes", "hosts"] {
        if let (Some(all), Value::Array(list)) = (known[key].as_array_mut(), more[key].take()) {
            let fresh: Vec<Value> =
                list.into_iter().filter(|one| key == "processes" || !all.contains(one)).collect();
            all.extend(fresh);
        }
    }
    // What one page lacks, the other may have.
    let missing = known["size"].as_u64().unwrap_or(0).saturating_sub(known["ranks"].as_u64().unwrap_or(0));
    if let Some(launch) = known.as_object_mut() {
        match missing {
            0 => launch.remove("missing"),
            missing => launch.insert("missing".to_owned(), missing.into()),
        };
    }
    for (key, takes_larger) in [("start_time_ns", false), ("end_time_ns", true), ("max_rss_kib", true)] {
        let (old, new) = (known[key].as_i64(), more[key].as_i64());
        if new.is_some() && (old.is_none() || (new > old) == takes_larger) {
            known[key] = more[key].take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_one_job_and_a_launch_over_two_is_one() {
        let launch = |ranks: u64, at: &[u64], end: u64| {
            json!({ "binpath": "/app", "size": 3, "ranks": ranks, "ended": ranks, "hosts": ["a"],
                "start_time_ns": 5, "end_time_ns": end, "processes": at })
        };
        let mut job = json!({ "job_id": "1", "processes": [0, 1], "launches": [launch(2, &[0, 1], 7)],
            "truncated": true, "next": "x" });
        append(&mut job, json!({ "job_id": "1", "launches": [launch(1, &[0], 9)] }), 2);
        let expected = json!({ "job_id": "1", "processes": [0, 1], "launches": [launch(3, &[0, 1, 2], 9)] });
        assert_eq!(job, expected);
        // A second launch of the same program.
        append(&mut job, json!({ "launches": [launch(3, &[0], 9)], "truncated": true }), 4);
        assert_eq!((&job["launches"][1]["processes"], &job["truncated"]), (&json!([4]), &json!(true)));
    }
    #[test]
    fn a_launch_of_two_programs_is_known_by_its_name_over_pages() {
        let launch = |name: &str, program: &str, at: &[u64]| {
            json!({ "binpath": program, "launch": name, "size": 4, "ranks": at.len(), "missing": 4 - at.len(),
                "ended": 0, "hosts": [], "processes": at })
        };
        let mut job = json!({ "processes": [0, 1], "launches": [launch("pmix:a", "/sw/one", &[0, 1])] });
        let page = [launch("pmix:a", "/sw/two", &[0, 2]), launch("pmix:b", "/sw/two", &[1])];
        append(&mut job, json!({ "launches": page }), 2);
        let launches = job["launches"].as_array().unwrap();
        let programs = json!([{ "binpath": "/sw/one", "ranks": 2 }, { "binpath": "/sw/two", "ranks": 2 }]);
        assert_eq!((launches.len(), &launches[0]["programs"]), (2, &programs));
        assert_eq!((&launches[0]["ranks"], &launches[0]["missing"]), (&json!(4), &Value::Null));
        assert_eq!((&launches[1]["launch"], &launches[1]["processes"]), (&json!("pmix:b"), &json!([3])));
    }
}
