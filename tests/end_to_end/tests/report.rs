//! `ogrt report`: what was used, with real builds, jobs and processes.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    thread::sleep,
    time::{Duration, Instant},
};

/// Burns CPU time for longer than the server takes to look at it, and ends with a status.
const BUSY: &str = "#include <stdlib.h>\n#include <time.h>\n\
    int fast(void);\n\
    int main(int count, char **words) {\n\
    \x20   clock_t until = atoi(words[1]) * (CLOCKS_PER_SEC / 1000) + fast();\n\
    \x20   while (clock() < until) ;\n\
    \x20   return atoi(words[2]);\n\
    }\n";

/// Runs a script in a job of Slurm's, tracked.
fn run(stage: &Stage, job: &str, account: &str, script: &str) {
    let mut shell = stage.command("/bin/sh");
    shell.env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so")).env("OGRT_ACTIVE", "1");
    shell.env("SLURM_JOB_ID", job).env("SLURM_JOB_ACCOUNT", account).env("SLURM_JOB_PARTITION", "long");
    if account == "chem" {
        shell.env("LOADEDMODULES", "busy/1.2:mpi/4");
    }
    shell.env("SLURM_JOB_NUM_NODES", "2").env("SLURM_CLUSTER_NAME", "alpha").env_remove("OGRT_JOBID_VARS");
    see(shell.args(["-c", script]));
}

fn report(stage: &Stage, options: &[&str]) -> (Value, String) {
    let output = see(stage.command("ogrt").arg("report").args(options).arg("--json"));
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let form = see(stage.command("ogrt").arg("report").args(options));
    (report, text(&form.stdout).to_owned())
}

fn line<'a>(report: &'a Value, key: &str, value: &str) -> &'a Value {
    let mut lines = report["lines"].as_array().into_iter().flatten();
    lines.find(|line| line[key] == value).unwrap_or(&Value::Null)
}

/// The month's report of each account, as the site's sendmail gets it.
fn by_mail(stage: &Stage) {
    let at = |name: &str| stage.folder().join(name);
    let mailed = at("mailed");
    fs::create_dir(&mailed).unwrap();
    let sendmail =
        "#!/bin/sh\n[ \"$1 $2\" = '-i --' ] || exit 1\n[ \"$3\" = away@x ] && exit 1\ncat > \"$MAILED/$3\"\n";
    fs::write(at("sendmail"), sendmail).unwrap();
    fs::set_permissions(at("sendmail"), fs::Permissions::from_mode(0o755)).unwrap();
    let monthly = |recipients: &str, month: &str| {
        fs::write(at("recipients"), recipients).unwrap();
        let mut script = stage.command(stage.prefix().join("share/ogrt/report/monthly").to_str().unwrap());
        script.env("OGRT_REPORT_RECIPIENTS", at("recipients")).env("SENDMAIL", at("sendmail"));
        script.env("MAILED", &mailed).env("OGRT_REPORT_FROM", "ogrt@x").arg(month);
        let sent = see(&mut script);
        (sent.status.code(), text(&sent.stderr).to_owned())
    };
    let date = see(stage.command("date").args(["-u", "+%Y-%m"]));
    let month = text(&date.stdout).trim().to_owned();
    let recipients = "# who\nchem chief@x\n* all@x\n\nbio away@x\nbio\nphys empty@x\n";
    let (status, told) = monthly(recipients, &month);
    assert_eq!(status, Some(1), "{told}");
    assert!(told.contains("did not take the mail to away@x") && told.contains("bio: expected"), "{told}");
    assert_eq!(told.lines().count(), 2, "{told}");
    let read = |to: &str| fs::read_to_string(mailed.join(to)).unwrap();
    let (chief, all) = (read("chief@x"), read("all@x"));
    let head =
        format!("From: ogrt@x\nTo: chief@x\nSubject: What ran in {month}: account chem\nMIME-Version: 1.0\n");
    assert!(chief.starts_with(&head), "{chief}");
    let rows = |mail: &str, account: &str| {
        mail.lines().filter(|line| line.starts_with(&format!("{account},"))).count()
    };
    assert!(chief.contains("Busy") && rows(&chief, "chem") >= 2 && rows(&chief, "bio") == 0, "{chief}");
    assert!(rows(&all, "chem") == rows(&chief, "chem") && rows(&all, "bio") >= 1, "{all}");
    let boundary = chief.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(chief.matches(&format!("\n--{boundary}\n")).count(), 2, "{chief}");
    assert!(chief.trim_end().ends_with(&format!("\n--{boundary}--")), "{chief}");
    assert!(read("empty@x").contains("Nothing."), "{}", read("empty@x"));
    // December has a month behind it.
    assert_eq!(monthly("* december@x\n", "2025-12"), (Some(0), String::new()));
    assert!(read("december@x").contains("in 2025-12 (UTC).\n\nNothing."), "{}", read("december@x"));
    assert_eq!(monthly("* x@x\n", "2025-13").0, Some(2));
}

/// A process counts for each of its libraries and modules, with what its end tells.
fn sets_are_told(stage: &Stage, by_software: &Value) {
    let busy = line(by_software, "software", "Busy");
    let (by_library, table) = report(stage, &["--preset", "libraries", "--since", "yesterday"]);
    assert!(by_library.get("not_told").is_none() && table.contains("do not add up"), "{by_library}");
    let fast = line(&by_library, "library", "FastMath");
    for key in ["processes", "cpu_us", "completed", "failed", "jobs", "users"] {
        assert_eq!(fast[key], busy[key], "{key} of {fast}");
    }
    let total = &by_library["total"];
    let c_library = line(&by_library, "library", "libc.so.6");
    assert_eq!((&c_library["processes"], &c_library["cpu_us"]), (&total["processes"], &total["cpu_us"]));

    let (by_module, _) = report(stage, &["--by", "module", "--since", "yesterday"]);
    let (by_account, _) = report(stage, &["--by", "account", "--since", "yesterday"]);
    assert!(by_module.get("not_told").is_none(), "{by_module}");
    for (module, account) in [("busy/1.2", "chem"), ("mpi/4", "chem"), ("", "bio")] {
        let (told, expected) = (line(&by_module, "module", module), line(&by_account, "account", account));
        for key in ["processes", "cpu_us", "failed", "killed"] {
            assert_eq!(told[key], expected[key], "{key} of {module}: {told}");
        }
    }
    let narrowed = ["--by", "module,software", "--where", "library=FastMath", "--where", "module=mpi/4"];
    let (narrowed, _) = report(stage, &narrowed);
    assert_eq!(narrowed["total"]["processes"], 2, "{narrowed}");
    assert_eq!(narrowed["lines_in_all"], 2, "one for each module");
}

#[test]
fn a_site_sees_who_used_what() {
    let mut stage = Stage::new();
    let source = stage.folder().join("busy.c");
    fs::write(&source, BUSY).unwrap();
    let program = stage.folder().join("busy");
    let library = stage.folder().join("libfast.so");
    fs::write(stage.folder().join("fast.c"), "int fast(void) { return 0; }\n").unwrap();
    let mut link = stage.command("ogrt-cc");
    link.env("OGRT_META_NAME", "FastMath").args(["gcc", "-shared", "-o"]).arg(&library);
    assert!(see(link.arg(stage.folder().join("fast.c"))).status.success());
    let mut link = stage.command("ogrt-cc");
    link.env("OGRT_META_NAME", "Busy").env("OGRT_META_VERSION", "1.2");
    let mut path = std::ffi::OsString::from("-Wl,-rpath,");
    path.push(stage.folder());
    link.args(["gcc", "-o"]).arg(&program).arg(&source).arg(&library).arg(path);
    assert!(see(&mut link).status.success());
    let busy = program.display();
    run(&stage, "1", "chem", &format!("{busy} 1500 0; {busy} 10 3; /bin/true"));
    run(&stage, "2", "bio", &format!("{busy} 10 0; /bin/sh -c 'kill -9 $$'; exit 0"));
    run(&stage, "2", "bio", "/bin/true; exec /bin/true");

    let deadline = Instant::now() + Duration::from_secs(20);
    let complete = |report: &Value| {
        line(report, "software", "Busy")["processes"] == 3 && report["total"]["end_unknown"] == 0
    };
    let (by_software, table) = loop {
        let (report, table) = report(&stage, &["--by", "software,version", "--since", "yesterday"]);
        if complete(&report) {
            break (report, table);
        }
        assert!(Instant::now() < deadline, "{report}");
        sleep(Duration::from_millis(50));
    };
    let busy = line(&by_software, "software", "Busy");
    assert_eq!((&busy["version"], &busy["jobs"], &busy["accounts"]), (&"1.2".into(), &2.into(), &2.into()));
    assert_eq!((&busy["completed"], &busy["failed"], &busy["killed"]), (&2.into(), &1.into(), &0.into()));
    let cpu_us = busy["cpu_us"].as_u64().unwrap();
    assert!((1_000_000..1_700_000).contains(&cpu_us), "{busy}");
    sets_are_told(&stage, &by_software);
    let unregistered = &by_software["unregistered"];
    assert_eq!((&unregistered["killed"], &unregistered["exec"]), (&1.into(), &1.into()), "{by_software}");
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].contains("software") && rows[1].contains("Busy") && rows[1].contains('▇'), "{table}");
    assert!(table.contains("(unknown)") && table.contains("= total"), "{table}");

    // The jobs' nodes for their time, nearly all of it the busy program's.
    let (by_account, _) = report(&stage, &["--by", "account,partition,cluster"]);
    let chem = line(&by_account, "account", "chem");
    assert_eq!((&chem["partition"], &chem["cluster"]), (&"long".into(), &"alpha".into()));
    let elapsed_us = chem["node_us"].as_u64().unwrap() / 2;
    assert!((1_500_000..20_000_000).contains(&elapsed_us), "{chem}");
    let (narrowed, _) =
        report(&stage, &["--by", "user", "--where", "account=bio", "--where", "software=Busy"]);
    assert_eq!((&narrowed["total"]["processes"], &narrowed["total"]["jobs"]), (&1.into(), &1.into()));
    let (by_status, _) = report(&stage, &["--by", "status"]);
    assert_eq!(line(&by_status, "status", "failed")["processes"], 1);

    let csv = see(stage.command("ogrt").args(["report", "--preset", "unknown", "--csv"]));
    let csv = text(&csv.stdout);
    assert!(csv.starts_with("program,processes,jobs,"), "{csv}");
    assert!(!csv.contains("busy"), "it is registered: {csv}");
    let markdown = see(stage.command("ogrt").args(["report", "--preset", "compilers", "--markdown"]));
    assert!(text(&markdown.stdout).starts_with("| compiler | processes |"), "{}", text(&markdown.stdout));

    by_mail(&stage);

    // A server that ends and begins again has the same.
    stage.stop_server();
    stage.start_server();
    let (again, _) = report(&stage, &["--by", "software,version", "--since", "yesterday"]);
    assert_eq!(again, by_software);
    let nothing = see(stage.command("ogrt").args(["report", "--until", "2020-01-01"]));
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing.stderr));
}
