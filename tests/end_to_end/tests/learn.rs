//! `ogrt learn`: after this machine's packages are learned, what a real session runs and loads has
//! a name, and how far that is known is told.

use ogrt_end_to_end::{Stage, see, text};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, process::Output};

/// What a user of a node does in a day.
const SESSION: &str = "set -e; cd \"$1\"\n\
    /usr/bin/python3 -c 'import json, hashlib, ctypes; print(1)'\n\
    /usr/bin/perl -e 'use POSIX; print 2'\n\
    printf 'int main(void) { return 0; }\\n' > a.c\n\
    printf 'a.o: a.c\\n\\tgcc -c a.c\\nb:\\n\\tls -l | sort | wc -l\\n' > Makefile\n\
    make a.o b; tar czf a.tgz a.c Makefile\n\
    git init -q r; cd r; cp ../a.c .; git add a.c\n\
    git -c user.email=a@b -c user.name=a commit -qm x; git --no-pager log\n\
    find . -name '*.c' | xargs grep -c main | sed s/x/y/ | awk '{print}'\n\
    diff ../a.c a.c; sha256sum a.c; date; cp a.c b.c; mv b.c c.c; rm c.c; xz -k a.c; bzip2 -k a.c\n";

/// Learns, and returns what was told.
fn learn(stage: &Stage, token: &Path, options: &[&str]) -> Value {
    let mut command = stage.site.ogrt(&["learn", "--json"]);
    let learned = see(command.args(options).env("OGRT_TOKEN_FILE", token));
    assert_eq!(learned.status.code(), Some(0), "{}", text(&learned.stderr));
    serde_json::from_slice(&learned.stdout).unwrap()
}

/// Runs a program, tracked, in a job.
fn run(stage: &Stage, job: &str, words: &[&str]) {
    let mut command = stage.command(words[0]);
    command.args(&words[1..]).env("LD_PRELOAD", stage.prefix().join("lib/libogrt.so"));
    command.env("OGRT_ACTIVE", "1").env("SLURM_JOB_ID", job).env_remove("OGRT_JOBID_VARS");
    let run = see(&mut command);
    assert!(run.status.success(), "{words:?}: {}", text(&run.stderr));
}

/// Files of a job's processes, by build-id and path, with their number; and the names of those that
/// have one.
type Files = BTreeMap<(String, String), usize>;

fn files(job: &Value) -> (Files, BTreeMap<(String, String), Value>) {
    let key = |one: &Value, path: &str| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        (text("build_id"), text(path))
    };
    let mut files = Files::new();
    for process in job["processes"].as_array().into_iter().flatten() {
        *files.entry(key(process, "binpath")).or_default() += 1;
        for object in process["shared_objects"].as_array().into_iter().flatten() {
            *files.entry(key(object, "path")).or_default() += 1;
        }
    }
    let names = job["names"].as_array().into_iter().flatten();
    (files, names.map(|name| (key(name, "path"), name.clone())).collect())
}

#[test]
fn a_session_has_names_after_this_machines_packages_are_learned() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        assert!(std::env::var_os("CI").is_none(), "CI has dpkg");
        println!("skipped: needs dpkg");
        return;
    }
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    let work = stage.folder().join("work");
    fs::create_dir(&work).unwrap();
    let script = stage.folder().join("session.sh");
    fs::write(&script, SESSION).unwrap();
    // What ran before has a name, too.
    run(&stage, "4711", &["/bin/bash", script.to_str().unwrap(), work.to_str().unwrap()]);
    let job = stage.job("4711", |job| job["processes"].as_array().is_some_and(|all| all.len() >= 25));
    assert!(job["names"].is_null(), "{}", job["names"]);

    let first = first_learning(&stage, &token, &["--dpkg"]);
    assert_eq!(first["new"], first["files"], "{first}");
    let begin = std::time::Instant::now();
    let again = learn(&stage, &token, &["--dpkg"]);
    println!("learned {first}, and again in {:?}", begin.elapsed());
    assert_eq!((&again["known"], &again["new"]), (&first["files"], &0.into()));

    let job = stage.job("4711", |job| !job["names"].is_null());
    let (files, names) = files(&job);
    let count = |named: bool| -> usize {
        files.iter().filter(|(file, _)| !named || names.contains_key(*file)).map(|(_, count)| count).sum()
    };
    let (all, named) = (count(false), count(true));
    let missing: Vec<_> = files.keys().filter(|file| !names.contains_key(*file)).collect();
    println!("{named} of {all} starts and objects have a name; those without one: {missing:?}");
    assert!(named * 100 >= all * 99, "{named} of {all}: {missing:?}");
    let unchecked: Vec<_> = names.values().filter(|name| !name["content"].is_null()).collect();
    assert!(unchecked.is_empty(), "{unchecked:?}");
    let bash = names.values().find(|name| name["package"] == "bash").expect("bash");
    assert_eq!((&bash["software"], &bash["known_by"]), (&"bash".into(), &"build_id".into()));

    // A copy that was patched keeps its build-id; one whose build-id was changed is nobody's.
    let ls = fs::read(fs::canonicalize("/bin/ls").unwrap()).unwrap();
    let patched = patch(&ls, b"Usage: ", b"Patch: ");
    let id: Vec<u8> = (1..=20).collect();
    let build_id = hexadecimal(
        names.iter().find(|((_, path), _)| path == "/usr/bin/ls").map(|((id, _), _)| id).unwrap(),
    );
    let strange = patch(&ls, &build_id, &id);
    for (name, bytes) in [("patched", patched), ("strange", strange)] {
        let program = stage.folder().join(name);
        fs::write(&program, bytes).unwrap();
        fs::set_permissions(&program, fs::metadata("/bin/ls").unwrap().permissions()).unwrap();
        run(&stage, "80", &[program.to_str().unwrap(), "/"]);
    }
    stage.job("80", |job| job["processes"].as_array().is_some_and(|all| all.len() == 2));
    let listed = |options: &[&str]| {
        let output = see(stage.site.ogrt(&["unregistered"]).args(options));
        (output.status.code(), text(&output.stdout))
    };
    let (status, table) = listed(&[]);
    assert_eq!(status, Some(0));
    assert!(
        table.contains("/strange") && !table.contains("/patched") && !table.contains("/usr/bin/ls"),
        "{table}"
    );
    let (_, table) = listed(&["--all", "--limit", "1000"]);
    let line = table.lines().find(|line| line.contains("/patched")).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("coreutils") && line.contains("by build-id alone, content not checked"), "{line}");
    let report = see(&mut stage.site.ogrt(&["report", "--by", "software,version", "--top", "100"]));
    let table = text(&report.stdout);
    assert!(["coreutils", "git", "bash", "(unknown)"].iter().all(|name| table.contains(name)), "{table}");
    let uses = see(&mut stage.site.ogrt(&["uses", "--soname", "libc.so.6"]));
    assert!(text(&uses.stdout).contains("glibc"), "{}", text(&uses.stdout));

    // A hole in coreutils that is mended in a version behind this one, or in this one.
    let coreutils = names.values().find(|name| name["package"] == "coreutils").expect("coreutils");
    let version = coreutils["version"].as_str().unwrap();
    let hit = |fixed: &str| {
        let events = json!([{ "introduced": "0" }, { "fixed": fixed }]);
        let package = json!({ "ecosystem": "Debian:12", "name": "coreutils" });
        jobs_hit(
            &stage,
            &json!([{ "package": package, "ranges": [{ "type": "ECOSYSTEM", "events": events }] }]),
        )
    };
    assert_eq!(hit(&format!("{version}+deb99u1")), (Some(0), vec!["4711".to_owned(), "80".to_owned()]));
    assert_eq!(hit(version), (Some(1), Vec::new()), "mended in it");
    // The same as the distribution's advisory, which names what is fixed in which of its releases.
    let fixed_in = |fixed: &str, product: &str| {
        let packages = json!([("OS99", format!("{version}+deb99u1")), ("OS12", fixed.to_owned())]);
        csaf_jobs_hit(&stage, &csaf("coreutils", &packages), product)
    };
    assert_eq!(fixed_in(version, ""), (Some(0), vec!["4711".to_owned(), "80".to_owned()]));
    assert_eq!(fixed_in(version, "example os12"), (Some(1), Vec::new()), "mended in it");
}

/// Who is hit by an advisory about these packages: the exit status, and the jobs.
fn jobs_hit(stage: &Stage, affected: &Value) -> (Option<i32>, Vec<String>) {
    let file = stage.folder().join("advisory.json");
    fs::write(&file, json!({ "id": "CVE-2099-1", "affected": affected }).to_string()).unwrap();
    jobs_in(&see(stage.site.ogrt(&["uses", "--json", "--osv"]).arg(&file)))
}

/// The exit status of a question about uses, and the jobs of its answer.
fn jobs_in(uses: &Output) -> (Option<i32>, Vec<String>) {
    let answer: Value =
        serde_json::from_slice(&uses.stdout).unwrap_or_else(|_| panic!("{}", text(&uses.stderr)));
    let jobs = answer["jobs"].as_array().into_iter().flatten();
    let mut jobs: Vec<String> = jobs.map(|job| job["job_id"].as_str().unwrap_or("-").to_owned()).collect();
    jobs.sort();
    (uses.status.code(), jobs)
}

/// An advisory in CSAF's form about a Debian package that is fixed in these versions, each in a
/// product.
fn csaf(package: &str, fixed: &Value) -> Value {
    let fixed: Vec<(String, String)> = serde_json::from_value(fixed.clone()).unwrap();
    let part = |(product, version): &(String, String)| {
        let id = format!("{product}:{package}-{version}");
        json!({ "category": "default_component_of", "product_reference": format!("{package}-{version}"),
            "relates_to_product_reference": product, "full_product_name": { "product_id": id, "name": id } })
    };
    let version = |(_, version): &(String, String)| {
        let version = version.replace('+', "%2B");
        json!({ "category": "product_version", "name": version, "product": {
            "product_id": format!("{package}-{}", version.replace("%2B", "+")), "name": package,
            "product_identification_helper": {
                "purl": format!("pkg:deb/debian/{package}@{version}?arch=source") } } })
    };
    let system = |(product, _): &(String, String)| {
        json!({ "category": "product_name", "name": product, "product": { "product_id": product,
            "name": format!("Example {product}"),
            "product_identification_helper": { "cpe": "cpe:/o:debian:debian_linux" } } })
    };
    let branches: Vec<Value> = fixed.iter().map(system).chain(fixed.iter().map(version)).collect();
    json!({
        "document": { "category": "csaf_security_advisory", "csaf_version": "2.0",
            "tracking": { "id": "EX-2099-1" } },
        "product_tree": {
            "branches": [{ "category": "vendor", "name": "Debian", "branches": branches }],
            "relationships": fixed.iter().map(part).collect::<Vec<_>>(),
        },
        "vulnerabilities": [{ "cve": "CVE-2099-1", "product_status": {
            "fixed": fixed.iter().map(|(product, version)| format!("{product}:{package}-{version}"))
                .collect::<Vec<_>>() } }],
    })
}

fn csaf_jobs_hit(stage: &Stage, advisory: &Value, product: &str) -> (Option<i32>, Vec<String>) {
    let file = stage.folder().join("csaf.json");
    fs::write(&file, advisory.to_string()).unwrap();
    let uses = see(stage.site.ogrt(&["uses", "--json", "--product", product, "--csaf"]).arg(&file));
    let warns = text(&uses.stderr).contains("--product narrows");
    assert_eq!(warns, product.is_empty(), "{}", text(&uses.stderr));
    jobs_in(&uses)
}

/// Learns as soon as the server knows the token.
fn first_learning(stage: &Stage, token: &Path, options: &[&str]) -> Value {
    loop {
        // The server reads its file of tokens from time to time.
        let mut command = stage.site.ogrt(&["learn", "--json"]);
        let learned = see(command.args(options).env("OGRT_TOKEN_FILE", token));
        match learned.status.code() {
            Some(0) => return serde_json::from_slice::<Value>(&learned.stdout).unwrap(),
            _ => assert!(text(&learned.stderr).contains("token"), "{}", text(&learned.stderr)),
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

/// Writes a file with its folders.
fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Links a library and a program that loads it, each under these paths.
fn link_pair(stage: &Stage, library: &Path, program: &Path) {
    for path in [library, program] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
    }
    let [part, main] = ["part.c", "main.c"].map(|name| stage.folder().join(name));
    fs::write(&part, format!("const char *part(void) {{ return \"{}\"; }}\n", library.display())).unwrap();
    fs::write(&main, "const char *part(void);\nint main(void) { return part() == 0; }\n").unwrap();
    let gcc = |words: &[&std::ffi::OsStr]| {
        // Without us: nobody registers them.
        let linked = std::process::Command::new("gcc").args(words).status().unwrap();
        assert!(linked.success(), "{words:?}");
    };
    let word = std::ffi::OsStr::new;
    let id = word("-Wl,--build-id");
    gcc(&[id, word("-shared"), word("-fPIC"), word("-o"), library.as_os_str(), part.as_os_str()]);
    let out = [id, word("-o"), program.as_os_str(), main.as_os_str(), library.as_os_str()];
    gcc(&out);
}

#[test]
fn environments_and_trees_have_the_names_of_their_packages() {
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    let at = |path: &str| stage.folder().join(path);

    // As conda leaves it.
    link_pair(&stage, &at("conda/lib/libhts.so.3"), &at("conda/bin/samtools"));
    let meta = |name: &str, version: &str, files: &str| {
        let meta = format!(
            "{{\"name\": \"{name}\", \"version\": \"{version}\", \"build\": \"h0_1\", \"files\": [{files}]}}"
        );
        write(&at(&format!("conda/conda-meta/{name}-{version}-h0_1.json")), &meta);
    };
    meta("htslib", "1.19", "\"lib/libhts.so.3\", \"../../../etc/passwd\", \"/bin/ls\"");
    meta("samtools", "1.20", "\"bin/samtools\"");
    // As Spack leaves it.
    link_pair(&stage, &at("spack/zlib-1.3-abc/lib/libz.so.1"), &at("spack/hdf5-1.14-def/bin/h5dump"));
    let install = |hash: &str, name: &str, version: &str, path: &str, more: &str| {
        let path = at(path);
        format!(
            "\"{hash}\": {{\"spec\": {{\"name\": \"{name}\", \"version\": \"{version}\"{more}}}, \"path\": \"{}\", \"installed\": true}}",
            path.display()
        )
    };
    let installs = [
        install("abcdefghij", "zlib", "1.3", "spack/zlib-1.3-abc", ""),
        install("defghijklm", "hdf5", "1.14", "spack/hdf5-1.14-def", ""),
        install("external00", "everything", "1", "", ", \"external\": {\"path\": \"/usr\"}"),
    ];
    let index =
        format!("{{\"database\": {{\"version\": \"7\", \"installs\": {{{}}}}}}}", installs.join(", "));
    write(&at("spack/.spack-db/index.json"), &index);
    // As EasyBuild leaves it, and a vendor's tree.
    link_pair(
        &stage,
        &at("apps/software/FFTW/3.3.10/lib/libfftw3.so.3"),
        &at("apps/software/GROMACS/2024.3-foss-2023b/bin/gmx"),
    );
    link_pair(&stage, &at("vasp/lib/libv.so"), &at("vasp/bin/vasp_std"));

    let path = |name: &str| at(name).to_string_lossy().into_owned();
    let names = ["conda", "spack", "apps", "vasp"].map(path);
    let [conda, spack, apps, vasp] = names.each_ref().map(|name| &name[..]);
    let options = [
        "--conda",
        conda,
        "--spack",
        spack,
        "--easybuild",
        apps,
        "--tree",
        vasp,
        "--name",
        "VASP",
        "--version",
        "6.4.2",
    ];
    let learned = first_learning(&stage, &token, &options);
    assert_eq!(
        (&learned["files"], &learned["new"], &learned["packages"]),
        (&8.into(), &8.into(), &7.into()),
        "{learned}"
    );
    for (number, program) in [
        "conda/bin/samtools",
        "spack/hdf5-1.14-def/bin/h5dump",
        "apps/software/GROMACS/2024.3-foss-2023b/bin/gmx",
        "vasp/bin/vasp_std",
    ]
    .into_iter()
    .enumerate()
    {
        run(&stage, &format!("90{number}"), &[at(program).to_str().unwrap()]);
    }
    let job = |number: usize| {
        let job = stage
            .job(&format!("90{number}"), |job| job["names"].as_array().is_some_and(|all| all.len() == 2));
        let names = job["names"].as_array().unwrap();
        let shown = |name: &Value| {
            ["software", "version", "package", "packager", "content"]
                .map(|key| name[key].as_str().unwrap_or("-").to_owned())
                .join(" ")
        };
        let mut shown: Vec<String> = names.iter().map(shown).collect();
        shown.sort();
        shown
    };
    assert_eq!(job(0), ["htslib 1.19 htslib-1.19-h0_1 conda -", "samtools 1.20 samtools-1.20-h0_1 conda -"]);
    assert_eq!(job(1), ["hdf5 1.14 hdf5/defghij spack -", "zlib 1.3 zlib/abcdefg spack -"]);
    assert_eq!(
        job(2),
        [
            "FFTW 3.3.10 FFTW/3.3.10 easybuild -",
            "GROMACS 2024.3-foss-2023b GROMACS/2024.3-foss-2023b easybuild -"
        ]
    );
    assert_eq!(job(3), ["VASP 6.4.2 - tree -", "VASP 6.4.2 - tree -"]);
    // One hole in a conda package, one in a Spack build, and one that nobody ran.
    let range = |first: &str, fixed: &str| json!([{ "type": "ECOSYSTEM", "events": [{ "introduced": first }, { "fixed": fixed }] }]);
    let affected = json!([
        { "package": { "ecosystem": "conda-forge", "name": "htslib" }, "ranges": range("1.10", "1.19.1") },
        { "package": { "name": "zlib" }, "versions": ["1.3"] },
        { "package": { "name": "VASP" }, "ranges": range("6.4.3", "7") },
        { "package": { "ecosystem": "npm", "name": "left-pad" }, "versions": ["1.0"] },
    ]);
    assert_eq!(jobs_hit(&stage, &affected), (Some(0), vec!["900".to_owned(), "901".to_owned()]));
    // The same as VEX, by package URLs, a range of versions, and names alone.
    let product = |id: &str, helper: Value| json!({ "product_id": id, "name": id, "product_identification_helper": helper });
    let vex = json!({
        "document": { "category": "csaf_vex", "csaf_version": "2.0", "tracking": { "id": "EX-2099-2" } },
        "product_tree": {
            "branches": [{ "category": "vendor", "name": "Example", "branches": [
                { "category": "product_name", "name": "zlib", "branches": [
                    { "category": "product_version", "name": "1.3", "product": product("Z", json!({})) }] },
                { "category": "product_name", "name": "htslib", "branches": [
                    { "category": "product_version_range", "name": "vers:conda/>=1.10|<1.19.1",
                        "product": product("H", json!({ "purl": "pkg:conda/htslib" })) }] },
            ] }],
            "full_product_names": [product("V", json!({ "cpe": "cpe:2.3:a:vasp:VASP:6.4.2:*:*:*:*:*:*:*" }))],
        },
        "vulnerabilities": [{ "cve": "CVE-2099-2",
            "product_status": { "known_affected": ["Z", "H"], "known_not_affected": ["V"] } }],
    });
    fs::write(stage.folder().join("vex.json"), vex.to_string()).unwrap();
    let hit = see(stage.site.ogrt(&["uses", "--json", "--csaf"]).arg(stage.folder().join("vex.json")));
    assert_eq!(jobs_in(&hit), (Some(0), vec!["900".to_owned(), "901".to_owned()]), "{}", text(&hit.stderr));
    let csv = see(&mut stage.site.ogrt(&["uses", "VASP", "--version", "<6.4.3", "--csv"]));
    let lines: Vec<String> = text(&csv.stdout).lines().map(str::to_owned).collect();
    assert_eq!((lines.len(), &lines[0][..8]), (2, "of,user,"), "{lines:?}");
    assert!(lines[1].starts_with("VASP <6.4.3,") && lines[1].contains(",1,0,0,1,"), "{lines:?}");
    let purl = see(&mut stage.site.ogrt(&["uses", "--purl", "pkg:conda/htslib@1.19"]));
    assert_eq!(purl.status.code(), Some(0), "{}", text(&purl.stderr));
    let sheet = see(&mut stage.site.ogrt(&["job", "902"]));
    assert!(text(&sheet.stdout).contains("GROMACS 2024.3-foss-2023b (easybuild)"), "{}", text(&sheet.stdout));
}

#[test]
fn an_image_of_another_distribution_has_the_names_of_its_rpms() {
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    let at = |path: &str| stage.folder().join(path);
    link_pair(&stage, &at("build/libhello.so.1"), &at("build/hello"));
    let spec = format!(
        "Name: hello\nVersion: 1.4\nRelease: 2\nEpoch: 3\nSummary: x\nLicense: x\n%description\nx\n\
         %package libs\nSummary: y\n%description libs\ny\n\
         %install\nmkdir -p %{{buildroot}}/usr/bin %{{buildroot}}/usr/lib64\n\
         cp {0}/build/hello %{{buildroot}}/usr/bin\ncp {0}/build/libhello.so.1 %{{buildroot}}/usr/lib64\n\
         %files\n/usr/bin/hello\n%files libs\n/usr/lib64/libhello.so.1\n",
        stage.folder().display()
    );
    write(&at("hello.spec"), &spec);
    let mut rpmbuild = std::process::Command::new("rpmbuild");
    let top = format!("_topdir {}", at("rpmbuild").display());
    let words =
        ["--define", &top, "--define", "__os_install_post %{nil}", "--define", "_build_id_links none", "-bb"];
    let Ok(built) = rpmbuild.args(words).arg(at("hello.spec")).output() else {
        assert!(std::env::var_os("CI").is_none(), "in CI a missing rpmbuild is a failure");
        println!("skipped: needs rpmbuild");
        return;
    };
    assert!(built.status.success(), "{}", text(&built.stderr));
    let image = at("image");
    fs::create_dir(&image).unwrap();
    let rpm = |words: &[&std::ffi::OsStr]| {
        let mut rpm = std::process::Command::new("rpm");
        // Where Fedora has its database, whatever this machine's rpm is of.
        let done =
            rpm.arg("--root").arg(&image).args(["--dbpath", "/usr/lib/sysimage/rpm"]).args(words).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{}", text(&done.stderr));
    };
    rpm(&["--initdb".as_ref()]);
    for folder in fs::read_dir(at("rpmbuild/RPMS")).unwrap().flatten() {
        for file in fs::read_dir(folder.path()).unwrap().flatten() {
            rpm(&["-i".as_ref(), "--nodeps".as_ref(), "--ignorearch".as_ref(), file.path().as_os_str()]);
        }
    }
    let learned =
        first_learning(&stage, &token, &["--rpm", "--root", image.to_str().unwrap(), "--source", "fedora"]);
    assert_eq!((&learned["files"], &learned["packages"]), (&2.into(), &2.into()), "{learned}");
    let listed = ogrt_end_to_end::http::get(&stage.server.as_ref().unwrap().http, "/v1/learned?name=hello");
    let keys = ["path", "software", "version", "package", "packager", "source"];
    let shown = |file: &Value| keys.map(|key| file[key].as_str().unwrap_or("-").to_owned()).join(" ");
    let mut shown: Vec<String> = listed["files"].as_array().unwrap().iter().map(shown).collect();
    shown.sort();
    assert_eq!(
        shown,
        [
            "/usr/bin/hello hello 3:1.4-2 hello rpm fedora",
            "/usr/lib64/libhello.so.1 hello 3:1.4-2 hello-libs rpm fedora"
        ]
    );
}

#[test]
fn what_pip_installs_has_the_name_of_its_package() {
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    let at = |path: &str| stage.folder().join(path);
    // A wheel with an extension module, which pip itself installs.
    let library = at("wheel/speedups.so");
    link_pair(&stage, &library, &at("unused"));
    let script = "import sys, zipfile\n\
        with zipfile.ZipFile(sys.argv[1], 'w') as wheel:\n\
        \x20   wheel.write(sys.argv[2], 'fast_text/speedups.so')\n\
        \x20   info = 'fast_text-2.1.dist-info/'\n\
        \x20   wheel.writestr('fast_text/__init__.py', '')\n\
        \x20   wheel.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: Fast-Text\\nVersion: 2.1\\n')\n\
        \x20   wheel.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n')\n\
        \x20   wheel.writestr(info + 'entry_points.txt', '[console_scripts]\\nfast = fast_text:main\\n')\n\
        \x20   wheel.writestr(info + 'RECORD', '')\n";
    let wheel = at("fast_text-2.1-py3-none-any.whl");
    let python =
        |program: &Path, words: &[&str]| std::process::Command::new(program).args(words).output().unwrap();
    let python3 = Path::new("python3");
    let made = python(python3, &["-c", script, wheel.to_str().unwrap(), library.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let venv = at("venv");
    let made = python(python3, &["-m", "venv", venv.to_str().unwrap()]);
    if !made.status.success() {
        assert!(std::env::var_os("CI").is_none(), "in CI python3 makes virtual environments");
        println!("skipped: needs python3-venv");
        return;
    }
    let words = ["-m", "pip", "install", "--no-index", "--quiet", wheel.to_str().unwrap()];
    let installed = python(&venv.join("bin/python"), &words);
    assert!(installed.status.success(), "{}", text(&installed.stderr));

    let learned = first_learning(&stage, &token, &["--venv", venv.to_str().unwrap()]);
    assert!(learned["packages"].as_u64().unwrap() >= 2, "pip is one, too: {learned}");
    let listed =
        ogrt_end_to_end::http::get(&stage.server.as_ref().unwrap().http, "/v1/learned?name=Fast-Text");
    let shown = |file: &Value| {
        let path = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (path, file["version"].as_str().unwrap().to_owned(), file["build_id"].is_string())
    };
    let mut shown: Vec<_> = listed["files"].as_array().unwrap().iter().map(shown).collect();
    shown.sort();
    assert_eq!(shown, [("fast".into(), "2.1".into(), false), ("speedups.so".into(), "2.1".into(), true)]);
}

/// The bytes with the first of some bytes replaced by others.
fn patch(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from).expect("such bytes");
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}

fn hexadecimal(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn what_modules_of_lmod_show_has_their_names() {
    let tools = Path::new("/usr/share/lmod/lmod/libexec");
    if !tools.join("spider").is_file() {
        assert!(std::env::var_os("CI").is_none(), "this machine has no Lmod");
        println!("skipped: needs Lmod");
        return;
    }
    let stage = Stage::new();
    let token = stage.token_file(&["--scope", "administer"]);
    let at = |path: &str| stage.folder().join(path);
    link_pair(&stage, &at("apps/zlib/1.3/lib/libz.so.1"), &at("apps/gromacs/2024.1/bin/gmx"));
    let (zlib, gromacs) = (at("apps/zlib/1.3"), at("apps/gromacs/2024.1"));
    let lua = format!(
        "whatis(\"Name: GROMACS\")\nlocal root = \"{}\"\nprepend_path(\"PATH\", pathJoin(root, \"bin\"))\n\
         prepend_path(\"PATH\", \"/usr/bin\")\nhelp([[Two\nlines]])\n",
        gromacs.display()
    );
    write(&at("modules/chem/gromacs/2024.1.lua"), &lua);
    let tcl = format!("#%Module1.0\nprepend-path LD_LIBRARY_PATH {}/lib\n", zlib.display());
    write(&at("modules/zlib/1.3"), &tcl);
    // As a site makes it each night, and as the command prints it.
    let [cache, stamp] = ["cache", "cache/stamp"].map(at);
    fs::create_dir(&cache).unwrap();
    let mut make = std::process::Command::new(tools.join("update_lmod_system_cache_files"));
    make.arg("-d").arg(&cache).arg("-t").arg(&stamp).arg(at("modules"));
    let made = see(&mut make);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut spider = std::process::Command::new(tools.join("spider"));
    let printed = see(spider.args(["-o", "spider-json"]).arg(at("modules")));
    fs::write(at("modules.json"), &printed.stdout).unwrap();

    let learned = first_learning(&stage, &token, &["--lmod", cache.to_str().unwrap()]);
    assert_eq!((&learned["new"], &learned["packages"]), (&2.into(), &2.into()), "{learned}");
    let again = first_learning(&stage, &token, &["--lmod", at("modules.json").to_str().unwrap()]);
    assert_eq!((&again["known"], &again["changed"]), (&2.into(), &0.into()), "the same of both: {again}");
    run(&stage, "905", &[gromacs.join("bin/gmx").to_str().unwrap()]);
    let job = stage.job("905", |job| job["names"].as_array().is_some_and(|all| all.len() == 2));
    let shown = |name: &Value| {
        let text = |key: &str| name[key].as_str().unwrap_or("-").to_owned();
        ["software", "version", "package", "packager"].map(text).join(" ")
    };
    let mut names: Vec<String> = job["names"].as_array().unwrap().iter().map(shown).collect();
    names.sort();
    assert_eq!(names, ["GROMACS 2024.1 chem/gromacs/2024.1 lmod", "zlib 1.3 zlib/1.3 lmod"]);
    let uses = see(&mut stage.site.ogrt(&["uses", "zlib", "--packager", "lmod", "--version", "<1.3.1"]));
    assert_eq!(uses.status.code(), Some(0), "{}", text(&uses.stderr));
}
