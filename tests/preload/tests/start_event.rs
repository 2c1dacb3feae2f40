//! The start event: what it says of real programs, glibc and musl.

use ogrt_note::Signature;
use ogrt_preload_tests::*;
use ogrt_proto::SharedObject;
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, os::unix::fs::symlink, process::Command};

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 7; }\n";

fn ends_with(object: &SharedObject, name: &str) -> bool {
    object.path().ends_with(name.as_bytes())
}

fn says_what_it_is(compiler: Compiler) {
    if !has_all(&["gcc", compiler.command()]) {
        return;
    }
    let folder = Folder::new();
    let mark = Signature::from_bytes([0x5A; 16]);
    let note = folder.note("mark", mark, b"\x0a\x04name");
    let program = folder.compile(compiler, "hello", HELLO, &[&note, "-Wl,--build-id=sha1"]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let output = tracked(&program, &receiver.server)
        .args([OsStr::new("one"), OsStr::from_bytes(b"two\xff")])
        .current_dir(folder.path())
        .env("SLURM_JOB_ID", "4711")
        .env("SLURM_STEP_ID", "3")
        .envs([("SLURM_ARRAY_TASK_ID", "17"), ("SLURM_ARRAY_JOB_ID", "4700")])
        .env("PMIX_RANK", "5")
        .env("PMI_SIZE", "64")
        .env("LOADEDMODULES", "gcc/13.2:zlib/1.3")
        .env("_LMFILES_", "/m/gcc/13.2.lua:/m/zlib/1.3.lua")
        .env("APPTAINER_NAME", "image.sif")
        .envs([("SLURM_JOB_ACCOUNT", "chem"), ("LSB_QUEUE", "long"), ("PBS_QUEUE", "short")])
        .envs([("SLURM_JOB_NUM_NODES", "2"), ("PBS_NP", "128"), ("SLURM_CPUS_PER_TASK", "4")])
        .envs([("ROCR_VISIBLE_DEVICES", "0,1"), ("SLURM_JOB_GPUS", "7"), ("OMP_NUM_THREADS", "4,2")])
        .envs([("CONDA_PREFIX", "/conda/x"), ("VIRTUAL_ENV", "/venv/y")])
        .output()
        .unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"hello\n"[..]));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");

    let start = receiver.start();
    assert_eq!(start.binpath(), program.as_os_str().as_bytes());
    assert_eq!(start.arguments.len(), 3);
    assert_eq!(start.arguments[1..], [&b"one"[..], b"two\xff"]);
    assert_eq!(start.working_directory(), folder.path().as_os_str().as_bytes());
    assert_eq!(start.parent_pid(), std::process::id() as i32);
    assert!(start.pid() > 1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!((now.as_secs() as i64 - start.time()).abs() < 30, "{}", start.time());
    assert_eq!(start.start_time_ns() / 1_000_000_000, start.time());
    let id = |option: &str| -> u32 {
        let output = Command::new("id").arg(option).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().parse().unwrap()
    };
    assert_eq!((start.uid(), start.gid()), (id("-ru"), id("-rg")));
    let host = Command::new("uname").arg("-n").output().unwrap().stdout;
    assert_eq!(start.hostname(), host.trim_ascii());
    assert_eq!(start.job_id(), b"4711");
    assert_eq!((start.job_step(), start.array_index()), (&b"3"[..], &b"17"[..]));
    assert_eq!(start.array_job(), b"4700");
    assert_eq!((start.mpi_rank(), start.mpi_size()), (5, 64));
    assert_eq!(start.container(), b"image.sif");
    assert_eq!((start.account(), start.partition()), (&b"chem"[..], &b"short"[..]));
    assert_eq!((start.nodes(), start.tasks(), start.cpus_per_task()), (2, 128, 4));
    assert_eq!((start.visible_gpus(), start.threads()), (&b"0,1"[..], &b"4,2"[..]));
    assert_eq!((start.conda_prefix(), start.virtual_environment()), (&b"/conda/x"[..], &b"/venv/y"[..]));
    let modules: Vec<_> = start.loaded_modules.iter().map(|module| (module.name(), module.file())).collect();
    assert_eq!(modules, [(&b"gcc/13.2"[..], &b"/m/gcc/13.2.lua"[..]), (b"zlib/1.3", b"/m/zlib/1.3.lua")]);
    assert!(start.environment_variables.is_empty(), "the environment is sent only when asked for");

    assert_eq!(start.notes.len(), 1);
    let found = &start.notes[0];
    assert_eq!(
        (found.signature(), found.metadata(), found.version()),
        (&[0x5A; 16][..], &b"\x0a\x04name"[..], 2)
    );
    assert_eq!(start.build_id().len(), 20, "sha1");
    assert!(start.shared_objects.iter().any(|object| ends_with(object, "libc.so.6")
        || ends_with(object, "libc.so")
        || ends_with(object, "ld-musl-x86_64.so.1")));
    assert!(!start.shared_objects.iter().any(|object| ends_with(object, "libogrt.so")), "we list ourselves");

    // UUIDv7 of now (RFC 9562, 5.7).
    let id = start.event_id();
    assert_eq!((id.len(), id[6] >> 4, id[8] >> 6), (16, 7, 2));
    let milliseconds = id[..6].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    assert_eq!(milliseconds, start.start_time_ns() as u64 / 1_000_000);
}

#[test]
fn a_launch_has_the_name_that_its_launcher_gives_it() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "hello", HELLO, &[]);
    let slurm = [("SLURM_PROCID", "1"), ("SLURM_JOB_ID", "47"), ("SLURM_STEP_ID", "3")];
    let batch = [("SLURM_PROCID", "0"), ("SLURM_JOB_ID", "47"), ("SLURM_STEP_ID", "4294967291")];
    let hydra = [("PMI_RANK", "1"), ("MPI_LOCALRANKID", "1"), ("FLUX_JOB_ID", "f7")];
    let intel = [
        ("PMI_RANK", "1"),
        ("MPI_LOCALRANKID", "1"),
        ("I_MPI_HYDRA_UUID", "f-1"),
        ("HYDRA_BSTRAP_PGID", "0"),
    ];
    type Variables<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Variables<'_>, Option<&str>); 9] = [
        (&[("OMPI_COMM_WORLD_RANK", "1"), ("PMIX_NAMESPACE", "575668225")], Some("pmix:575668225")),
        (&[("OMPI_COMM_WORLD_RANK", "1"), ("OMPI_MCA_ess_base_jobid", "9")], Some("pmix:9")),
        (&[("PMI_RANK", "1"), ("PMI_JOBID", "47.3")], Some("pmi:47.3")),
        (&[("PALS_RANKID", "1"), ("PALS_APID", "a-b")], Some("pmi:a-b")),
        (&[("FLUX_TASK_RANK", "1"), ("FLUX_JOB_ID", "f7")], Some("flux:f7")),
        (&hydra, Some("hydra")),
        (&intel, Some("hydra:f-1.0")),
        (&slurm, Some("slurm:47.3")),
        // A batch script is no rank of a launch.
        (&batch, None),
    ];
    for (number, (variables, launch)) in cases.into_iter().enumerate() {
        let receiver = Receiver::unix(&folder.join(&format!("ogrt{number}.sock")));
        let mut command = tracked(&program, &receiver.server);
        command.envs(variables.iter().copied());
        assert_eq!(command.output().unwrap().status.code(), Some(7));
        assert_eq!(
            receiver.start().launch,
            launch.map(|name| name.as_bytes().to_vec().into()),
            "{variables:?}"
        );
    }
}

#[test]
fn a_rank_of_mpich_has_the_name_that_its_proxy_was_told() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "hello", HELLO, &[]);
    let cases: [(&[&str], &str); 3] = [
        (&["--control-port", "n1:4711", "--rmk", "user", "--pgid", "2"], "hydra:n1:4711.2"),
        (&["--pgid", "2", "--control-port"], "hydra"),
        (&[], "hydra"),
    ];
    for (number, (arguments, launch)) in cases.into_iter().enumerate() {
        let receiver = Receiver::unix(&folder.join(&format!("proxy{number}.sock")));
        // A shell that stays the parent, and is not tracked.
        let line = format!(
            "LD_PRELOAD='{}' OGRT_ACTIVE=1 OGRT_SERVER='{}' '{}'; exit $?",
            library().display(),
            receiver.server,
            program.display()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line, "proxy"]).args(arguments);
        command.env("PMI_RANK", "1").env("MPI_LOCALRANKID", "1");
        assert_eq!(command.output().unwrap().status.code(), Some(7));
        assert_eq!(receiver.start().launch, Some(launch.as_bytes().to_vec().into()), "{arguments:?}");
    }
}

#[test]
fn a_glibc_program_says_what_it_is() {
    says_what_it_is(Compiler::Gcc);
}

#[test]
fn a_musl_program_says_what_it_is() {
    says_what_it_is(Compiler::Musl);
}

#[test]
fn shared_objects_carry_their_notes_and_build_ids() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let [first, second] = [[1; 16], [2; 16]].map(Signature::from_bytes);
    let notes = [folder.note("first", first, b""), folder.note("second", second, b"")];
    folder.compile(
        Compiler::Gcc,
        "libmarked.so.1.2",
        "int marked(void) { return 0; }",
        &["-shared", "-fPIC", "-Wl,-soname,libmarked.so", "-Wl,--build-id=0xC0FFEE", &notes[0], &notes[1]],
    );
    symlink("libmarked.so.1.2", folder.join("libmarked.so")).unwrap();
    let program = folder.compile(
        Compiler::Gcc,
        "uses",
        "int marked(void); int main(void) { return marked(); }",
        &["-L.", "-lmarked", "-Wl,-rpath,$ORIGIN"],
    );
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert!(tracked(&program, &receiver.server).status().unwrap().success());
    let start = receiver.start();
    let marked = start.shared_objects.iter().find(|object| ends_with(object, "libmarked.so.1.2"));
    let marked = marked.unwrap_or_else(|| panic!("canonical path expected: {:?}", start.shared_objects));
    assert!(marked.path().starts_with(b"/"));
    let signatures: Vec<_> = marked.notes.iter().map(|mark| mark.signature()).collect();
    assert_eq!(signatures, [&[1; 16][..], &[2; 16]]);
    assert_eq!(marked.build_id(), [0xC0, 0xFF, 0xEE]);
    assert!(!marked.preloaded());
}

#[test]
fn version_1_notes_are_read() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut note = Vec::new();
    for word in [5u32, 38, ogrt_note::TYPE] {
        note.extend(word.to_ne_bytes());
    }
    note.extend(b"OGRT\0\0\0\0\x01");
    note.extend(uuid.as_bytes());
    note.extend(b"\0\0\0");
    let object = folder.note_object("old", &note);
    let program = folder.compile(Compiler::Gcc, "old", "int main(void) { return 0; }", &[&object]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert!(tracked(&program, &receiver.server).status().unwrap().success());
    let start = receiver.start();
    assert_eq!(start.notes.len(), 1);
    assert_eq!(start.notes[0].version(), 1);
    let expected: Signature = uuid.parse().unwrap();
    assert_eq!(start.notes[0].signature(), expected.as_bytes());
}

#[test]
fn what_the_user_preloads_is_said() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let theirs = folder.compile(Compiler::Gcc, "libtheirs.so", "int theirs;", &["-shared", "-fPIC"]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let both = [library().display().to_string(), theirs.display().to_string()];
    for (count, list) in [both.join(":"), format!("{} {}", both[1], both[0])].iter().enumerate() {
        let status = tracked("/bin/true", &receiver.server).env("LD_PRELOAD", list).status().unwrap();
        assert!(status.success());
        let start = receiver.starts(count + 1).remove(count).start.unwrap();
        let preloaded: Vec<_> = start.shared_objects.iter().filter(|object| object.preloaded()).collect();
        assert_eq!(preloaded.len(), 1, "{preloaded:?}");
        assert!(ends_with(preloaded[0], "libtheirs.so"));
    }
}

#[test]
fn paths_are_canonical_without_procfs() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let program = folder.compile(Compiler::Gcc, "real", "int main(void) { return 0; }", &[]);
    std::fs::create_dir_all(folder.join("a/b")).unwrap();
    symlink("../../real", folder.join("a/b/relative")).unwrap();
    symlink(folder.join("a"), folder.join("absolute")).unwrap();
    symlink("b/relative", folder.join("a/chain")).unwrap();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let calls = [
        folder.join("a/b/relative").display().to_string(),
        folder.join("absolute/b/../chain").display().to_string(),
        "./a/../absolute/./chain".to_owned(),
        "a/b/relative".to_owned(),
    ];
    for (count, call) in calls.iter().enumerate() {
        let shell = format!("exec {call}");
        let status = Command::new("/bin/sh")
            .args(["-c", &format!("export LD_PRELOAD={}; {shell}", library().display())])
            .current_dir(folder.path())
            .env("OGRT_ACTIVE", "1")
            .env("OGRT_SERVER", &receiver.server)
            .status()
            .unwrap();
        assert!(status.success(), "{call}");
        let start = receiver.starts(count + 1).remove(count).start.unwrap();
        assert_eq!(start.binpath(), program.as_os_str().as_bytes(), "called as {call}");
    }
}

#[test]
fn a_script_is_its_interpreter() {
    let folder = Folder::new();
    let script = folder.write("script", "#!/bin/sh -e\nexit 4\n");
    let mut permissions = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&script, permissions).unwrap();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert_eq!(tracked(&script, &receiver.server).status().unwrap().code(), Some(4));
    let start = receiver.start();
    let shell = std::fs::canonicalize("/bin/sh").unwrap();
    assert_eq!(start.binpath(), shell.as_os_str().as_bytes());
    assert_eq!(start.arguments.last().unwrap(), script.as_os_str().as_bytes());
}

#[test]
fn fexecve_is_found_too() {
    if !has("gcc") {
        return;
    }
    let folder = Folder::new();
    let source = "#define _GNU_SOURCE\n#include <fcntl.h>\n#include <unistd.h>\nextern char **environ;\n\
        int main(int c, char **v) { char *a[] = {\"other\", 0}; if (c > 9) return v[0][0];\n\
        fexecve(open(\"/bin/true\", O_RDONLY | O_CLOEXEC), a, environ); return 3; }\n";
    let program = folder.compile(Compiler::Gcc, "by_descriptor", source, &[]);
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    assert!(tracked(program, &receiver.server).status().unwrap().success());
    let starts = receiver.starts(2);
    let executed = starts[1].start.as_ref().unwrap();
    assert_eq!(executed.binpath(), std::fs::canonicalize("/bin/true").unwrap().as_os_str().as_bytes());
    assert_eq!(executed.pid(), starts[0].start.as_ref().unwrap().pid(), "one process, two events");
}

#[test]
fn the_environment_goes_as_far_as_asked_and_never_a_secret() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let run = |wanted: &str, count: usize| -> Vec<String> {
        let status = tracked("/bin/true", &receiver.server)
            .env("OGRT_ENV", wanted)
            .env("OMP_NUM_THREADS", "4")
            .env("MY_API_TOKEN", "hush")
            .env("DATABASE", "postgres://me:hush@db/x")
            .env("db_password", "hush")
            .status();
        assert!(status.unwrap().success());
        let start = receiver.starts(count).remove(count - 1).start.unwrap();
        start.environment_variables.iter().map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
    };
    assert!(run("none", 1).is_empty());
    assert_eq!(run("OMP_*:NOT_THERE", 2), ["OMP_NUM_THREADS=4"]);
    let all = run("all", 3);
    assert!(all.iter().any(|entry| entry == "OMP_NUM_THREADS=4"), "{all:?}");
    assert!(all.iter().any(|entry| entry == "MY_API_TOKEN=[withheld]"), "{all:?}");
    assert!(all.iter().any(|entry| entry == "db_password=[withheld]"), "{all:?}");
    assert!(!all.iter().any(|entry| entry.contains("hush")), "{all:?}");
    assert_eq!(run("MY_*", 4), ["MY_API_TOKEN=[withheld]"]);
}

#[test]
fn the_job_id_follows_the_sites_list() {
    let folder = Folder::new();
    let receiver = Receiver::unix(&folder.join("ogrt.sock"));
    let mut count = 0;
    let mut run = |variables: &[(&str, &str)]| -> Vec<u8> {
        count += 1;
        let status = tracked("/bin/true", &receiver.server).envs(variables.iter().copied()).status();
        assert!(status.unwrap().success());
        receiver.starts(count).remove(count - 1).start.unwrap().job_id().to_vec()
    };
    assert_eq!(run(&[("LSB_JOBID", "lsf"), ("PBS_JOBID", "pbs"), ("JOB_ID", "sge")]), b"pbs");
    // Anybody uses the name JOBID, so a scheduler's own name comes before it.
    for name in ["SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "JOB_ID"] {
        assert_eq!(run(&[("JOBID", "ours"), (name, "theirs")]), b"theirs", "{name}");
    }
    let long = "j".repeat(300);
    assert_eq!(run(&[("JOBID", &long)]), long.as_bytes());
    assert_eq!(run(&[("OGRT_JOBID_VARS", "MINE:JOB_ID"), ("JOB_ID", "sge"), ("JOBID", "x")]), b"sge");
    assert_eq!(run(&[]), b"");
}
