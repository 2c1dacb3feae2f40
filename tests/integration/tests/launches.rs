//! Launches of MPI programs side by side, as a job's document tells them apart, and the tree of
//! what their ranks start.

use ogrt_end_to_end::{Stage, see, text};
use ogrt_integration::{
    mpi::{self, MPICH, OPEN_MPI, job, launches},
    needs,
};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path};

/// The programs of processes above which no other of the job stands.
fn roots(document: &Value) -> Vec<&str> {
    let processes = document["processes"].as_array().unwrap();
    let pids: BTreeSet<i64> = processes.iter().filter_map(|process| process["pid"].as_i64()).collect();
    let is_below = |process: &&Value| {
        let above = ["parent_pid", "ancestor_pid"].map(|key| process[key].as_i64());
        let is_exec = processes.iter().any(|other| {
            other["pid"] == process["pid"] && other["end"]["ended_by"] == "exec" && other != *process
        });
        is_exec || above.into_iter().flatten().any(|pid| pids.contains(&pid))
    };
    let roots = processes.iter().filter(|process| !is_below(process));
    roots.map(|process| process["binpath"].as_str().unwrap()).collect()
}

#[test]
fn launches_side_by_side_are_told_apart_and_helpers_are_no_ranks() {
    if !mpi::has_all() {
        return;
    }
    let stage = Stage::new();
    for (library, launcher) in
        [(OPEN_MPI, "mpirun.openmpi --oversubscribe"), (MPICH, "mpiexec.hydra -launcher fork")]
    {
        let compiler = library.compiler;
        let program = library.compile(&stage, "ranks.c");
        let path = program.to_str().unwrap();
        // Four at once; a rank that is a script with helpers; two programs in one launch.
        let script = format!(
            "for i in 1 2 3 4; do {launcher} -np 2 {path} & done; wait\n\
             {launcher} -np 2 bash -c '( uname; true ); hostname; {path}; date'\n\
             {launcher} -np 1 sleep 0.2 : -np 2 uname\n"
        );
        let document = job(&stage, compiler, &script);
        let launches = launches(&document);
        let of_program: Vec<&Value> = launches.iter().filter(|launch| launch["binpath"] == path).collect();
        assert_eq!(of_program.len(), 5, "{compiler}: {launches:#?}");
        for launch in of_program {
            assert_eq!(
                (&launch["ranks"], &launch["size"], &launch["missing"]),
                (&2.into(), &2.into(), &Value::Null),
                "{compiler}: {launch}"
            );
        }
        assert_eq!(launches.len(), 6, "{compiler}: {launches:#?}");
        let several = launches.iter().find(|launch| launch["programs"].is_array()).unwrap();
        assert_eq!((&several["ranks"], &several["programs"][1]["ranks"]), (&3.into(), &2.into()));
        assert_eq!(roots(&document).len(), 1, "{compiler}: {:?}", roots(&document));
    }
}

#[test]
fn ranks_that_nobody_tracked_are_said_to_be_missing() {
    if !needs::has(&["mpirun.openmpi"], true) {
        return;
    }
    let stage = Stage::new();
    // As on a node that the variables do not reach.
    let script = "mpirun.openmpi --oversubscribe -np 1 sleep 0.2 : -x OGRT_ACTIVE=0 -np 2 sleep 0.2\n";
    let document = job(&stage, "missing", script);
    let launches = launches(&document);
    assert_eq!(launches.len(), 1, "{document:#}");
    let counts = ["size", "ranks", "missing"].map(|key| launches[0][key].as_u64());
    assert_eq!(counts, [3, 1, 2].map(Some), "{}", launches[0]);
    let tree = see(&mut stage.site.ogrt(&["job", "missing", "--tree"]));
    assert!(text(&tree.stdout).contains("1 of 3 ranks seen"), "{}", text(&tree.stdout));
}

#[test]
fn a_shell_that_forks_does_not_cut_the_tree() {
    if !needs::has(&["make", "xargs", "parallel"], true) {
        return;
    }
    // Of the machine itself, whose number never changes.
    if fs::read_link("/proc/self/ns/pid").unwrap() != Path::new("pid:[4026531836]") {
        println!("skipped: in a container the kernel does not tell of forks");
        return;
    }
    let stage = Stage::new();
    fs::write(
        stage.folder().join("Makefile"),
        "all: a b c d\na b c d:\n\t@( uname; date ) | cat; ( ( hostname ) & wait )\n",
    )
    .unwrap();
    let script = "( uname; date ) | cat\n\
                  echo 1 2 3 | while read -r a; do ( ( date ); : ) | ( cat; : ); done\n\
                  ( sleep 0.1 & ) ; sleep 0.3\n\
                  seq 4 | xargs -P 4 -I% sh -c '( date; uname ) | cat'\n\
                  seq 4 | parallel --will-cite -j2 '( date; uname {} ) | cat >/dev/null; hostname'\n\
                  ( setsid sh -c '( sleep 0.2; uname ) & exit' ); sleep 0.4\n\
                  make -s -j4\n";
    let document = job(&stage, "forks", script);
    assert_eq!(roots(&document).len(), 1, "{:?} of {document:#}", roots(&document));

    // What a script leaves behind when it has ended.
    let script =
        "( sleep 0.3; uname; date ) >/dev/null 2>&1 &\n( ( sleep 0.2; hostname ) & ) >/dev/null 2>&1\n";
    job(&stage, "left", script);
    let is_whole = |document: &Value| {
        let processes = document["processes"].as_array().cloned().unwrap_or_default();
        let programs = ["date", "hostname"].map(|name| format!("/usr/bin/{name}"));
        programs.iter().all(|program| processes.iter().any(|process| process["binpath"] == **program))
    };
    let document = stage.job("left", is_whole);
    assert_eq!(roots(&document).len(), 1, "{:?} of {document:#}", roots(&document));
}
