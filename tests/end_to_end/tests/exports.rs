//! `ogrt export`: each document is checked by its format's own validator and compared with what was
//! linked.

use ogrt_end_to_end::{Stage, see, text, validators};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Links a library with a name and a version, and a program with it, in the stage's folder.
fn build(stage: &Stage) -> (PathBuf, PathBuf) {
    fs::write(stage.folder().join("foo.c"), "int foo(void) { return 7; }\n").unwrap();
    fs::write(stage.folder().join("app.c"), "int foo(void);\nint main(void) { return foo() - 7; }\n")
        .unwrap();
    let link = |name: &str, version: &str, arguments: &[&str]| {
        let mut command = stage.command("ogrt-cc");
        command.args(arguments).env("OGRT_META_NAME", name).env("OGRT_META_VERSION", version);
        let output = see(command.env("OGRT_OMNIBOR", "1"));
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    link("Foo++", "1.0", &["gcc", "-O2", "-shared", "-fPIC", "foo.c", "-o", "libfoo.so"]);
    link("app", "2.1", &["gcc", "-O2", "app.c", "libfoo.so", "-Wl,-rpath,$ORIGIN", "-o", "app"]);
    (stage.folder().join("libfoo.so"), stage.folder().join("app"))
}

fn export(stage: &Stage, format: &str, file: &Path, more: &[&str]) -> String {
    let output = see(stage.site.ogrt(&["export", "--format", format]).args(more).arg(file));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{format}");
    text(&output.stdout)
}

/// Checks a document by its validator.
fn validate(stage: &Stage, format: &str, document: &str) {
    let path = stage.folder().join(format!("{format}.spdx.json"));
    fs::write(&path, document).unwrap();
    if let Some(output) = validators::check(&[format, path.to_str().unwrap()]) {
        assert!(output.status.success(), "{format}: {}{}", text(&output.stdout), text(&output.stderr));
    }
}

fn sha256(path: &Path) -> String {
    let output = see(Command::new("sha256sum").arg(path));
    text(&output.stdout).split_whitespace().next().unwrap().to_owned()
}

#[test]
fn every_format_validates_and_tells_of_what_was_linked() {
    let stage = Stage::new();
    let (library, app) = build(&stage);

    let document = export(&stage, "slsa", &app, &[]);
    validate(&stage, "slsa", &document);
    let slsa: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(slsa["subject"][0]["digest"]["sha256"], *sha256(&app));
    let definition = &slsa["predicate"]["buildDefinition"];
    let dependencies = definition["resolvedDependencies"].as_array().unwrap();
    let foo = dependencies.iter().find(|one| one["name"] == "libfoo.so").unwrap();
    assert_eq!(foo["digest"]["sha256"], *sha256(&library));
    assert_eq!(foo["uri"], format!("pkg:generic/Foo%2B%2B@1.0?checksum=sha256:{}", sha256(&library)));
    // The library's own statement has the same name for it, which is how they are joined.
    let own: Value = serde_json::from_str(&export(&stage, "slsa", &library, &[])).unwrap();
    assert_eq!(own["subject"][0]["name"], foo["uri"]);
    assert_eq!(definition["externalParameters"]["driverCommand"][1], "-O2");

    let document = export(&stage, "spdx", &app, &[]);
    validate(&stage, "spdx", &document);
    let spdx: Value = serde_json::from_str(&document).unwrap();
    let packages = spdx["packages"].as_array().unwrap();
    let foo = packages.iter().find(|package| package["name"] == "Foo++").unwrap();
    assert_eq!(
        (&foo["versionInfo"], &foo["checksums"][0]["checksumValue"]),
        (&"1.0".into(), &sha256(&library).into())
    );
    let relationships = spdx["relationships"].as_array().unwrap();
    assert!(relationships.iter().any(|one| {
        one["relationshipType"] == "DYNAMIC_LINK" && one["relatedSpdxElement"] == foo["SPDXID"]
    }));

    let document = export(&stage, "cyclonedx", &app, &[]);
    validate(&stage, "cyclonedx", &document);
    let bom: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(bom["metadata"]["component"]["hashes"][0]["content"], *sha256(&app));
    assert_eq!(bom["serialNumber"], format!("urn:uuid:{}", stage.signature(&app)));
    let components = bom["components"].as_array().unwrap();
    assert!(
        components
            .iter()
            .any(|one| one["name"] == "Foo++" && one["hashes"][0]["content"] == *sha256(&library))
    );
}

#[test]
fn validators_refuse_what_is_not_right() {
    let stage = Stage::new();
    let (_, app) = build(&stage);
    for (format, right, wrong) in [
        ("slsa", "\"buildType\"", "\"buildTypo\""),
        ("spdx", "\"SPDXRef-Output\"", "\"Output\""),
        ("cyclonedx", "\"SHA-256\"", "\"SHA-257\""),
    ] {
        let document = export(&stage, format, &app, &[]);
        assert!(document.contains(right), "{document}");
        let path = stage.folder().join("wrong.spdx.json");
        fs::write(&path, document.replace(right, wrong)).unwrap();
        if let Some(output) = validators::check(&[format, path.to_str().unwrap()]) {
            assert_eq!(output.status.code(), Some(1), "{format}: {}", text(&output.stderr));
        }
    }
}

#[test]
fn an_omnibor_manifest_has_gits_ids_of_all_inputs() {
    let stage = Stage::new();
    let (library, app) = build(&stage);
    let manifest = export(&stage, "omnibor", &app, &[]);
    let mut lines = manifest.lines();
    assert_eq!(lines.next(), Some("gitoid:blob:sha256"));
    let ids: Vec<&str> = lines.collect();
    assert!(ids.is_sorted() && ids.iter().all(|id| id.len() == 64), "{manifest}");
    assert!(manifest.ends_with('\n'));

    // The compiler's temporary object is deleted, but its id is recorded: there are as many as
    // distinct inputs.
    let record = see(stage.site.ogrt(&["query", "--json"]).arg(&app));
    let record: Value = serde_json::from_slice(&record.stdout).unwrap();
    let mut recorded: Vec<&str> =
        record["inputs"].as_array().unwrap().iter().map(|input| input["gitoid"].as_str().unwrap()).collect();
    recorded.sort_unstable();
    recorded.dedup();
    assert_eq!(ids, recorded);

    // Git computes the same ids.
    let repository = stage.folder().join("repository");
    let git = |arguments: &[&str]| {
        let output = see(Command::new("git").arg("-C").arg(&repository).args(arguments));
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout).trim().to_owned()
    };
    fs::create_dir(&repository).unwrap();
    git(&["init", "--quiet", "--object-format=sha256"]);
    let id = git(&["hash-object", "--no-filters", library.to_str().unwrap()]);
    assert!(ids.contains(&id.as_str()), "{id} in {manifest}");
}

#[test]
fn an_omnibor_manifest_without_recorded_ids_says_what_is_missing() {
    let stage = Stage::new();
    let program = stage.link("plain");
    let output = see(stage.site.ogrt(&["export", "--format", "omnibor"]).arg(&program));
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    let complaints = text(&output.stderr);
    // The compiler's temporary object is deleted; the C library's files still exist.
    assert!(
        complaints.lines().next().unwrap().ends_with("the file was changed or deleted since"),
        "{complaints}"
    );
    assert!(complaints.contains("1 of ") && !complaints.contains("libc"), "{complaints}");
    let partial = see(stage.site.ogrt(&["export", "--format", "omnibor", "--partial"]).arg(&program));
    assert_eq!(partial.status.code(), Some(0));
    assert!(text(&partial.stdout).lines().count() > 3, "{}", text(&partial.stdout));
}

#[test]
fn a_signed_export_verifies_and_fails_after_one_flipped_byte() {
    if see(Command::new("sh").args(["-c", "command -v openssl"])).status.code() != Some(0) {
        assert!(std::env::var_os("CI").is_none(), "in CI a missing openssl is a failure");
        println!("skipped: needs openssl");
        return;
    }
    let stage = Stage::new();
    let (library, app) = build(&stage);
    let (key, public) = key_pair(stage.folder(), "site");
    let (_, stranger) = key_pair(stage.folder(), "stranger");
    let envelope = stage.folder().join("app.dsse");
    let signed = export(&stage, "slsa", &app, &["--sign", &key]);
    fs::write(&envelope, &signed).unwrap();

    let verify = |key: &str, envelope: &Path, more: &[&Path]| {
        see(stage.site.ogrt(&["verify-attestation", "--key", key]).arg(envelope).args(more))
    };
    let good = verify(&public, &envelope, &[&app]);
    assert_eq!((good.status.code(), text(&good.stderr)), (Some(0), String::new()));
    if let Some(output) = validators::check(&["dsse", envelope.to_str().unwrap(), &public]) {
        assert!(output.status.success(), "{}", text(&output.stdout));
    }
    let payload = see(stage.site.ogrt(&["verify-attestation", "--payload", "--key", &public]).arg(&envelope));
    assert_eq!(text(&payload.stdout), export(&stage, "slsa", &app, &[]));

    assert_eq!(verify(&stranger, &envelope, &[]).status.code(), Some(1), "another key");
    let other = verify(&public, &envelope, &[&library]);
    assert_eq!(other.status.code(), Some(1), "a file that it is not about");
    assert!(text(&other.stderr).contains("libfoo.so: not a subject of "), "{}", text(&other.stderr));

    // One byte, in the payload and in the signature. (cli/src/dsse.rs tries every byte.)
    for (place, status) in [("\"payload\": \"", 1), ("\"sig\": \"", 1)] {
        let at = signed.find(place).unwrap() + place.len() + 10;
        let mut bytes = signed.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let flipped = stage.folder().join("flipped.dsse");
        fs::write(&flipped, bytes).unwrap();
        let output = verify(&public, &flipped, &[]);
        assert_eq!(output.status.code(), Some(status), "{place}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr).lines().count(), 1);
        if let Some(output) = validators::check(&["dsse", flipped.to_str().unwrap(), &public]) {
            assert!(!output.status.success());
        }
    }
    let garbage = verify(&public, &app, &[]);
    assert_eq!(garbage.status.code(), Some(2));
    assert_eq!(text(&garbage.stderr).lines().count(), 1, "{}", text(&garbage.stderr));
    let no_key = verify(envelope.to_str().unwrap(), &envelope, &[]);
    assert_eq!(no_key.status.code(), Some(2));
    assert!(text(&no_key.stderr).contains("not an Ed25519 public key in PEM"), "{}", text(&no_key.stderr));
}

fn key_pair(folder: &Path, name: &str) -> (String, String) {
    let [key, public] = ["key", "pub"].map(|end| folder.join(format!("{name}.{end}")).display().to_string());
    let made = see(Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out", &key]));
    assert!(made.status.success(), "{}", text(&made.stderr));
    let made = see(Command::new("openssl").args(["pkey", "-in", &key, "-pubout", "-out", &public]));
    assert!(made.status.success(), "{}", text(&made.stderr));
    (key, public)
}
