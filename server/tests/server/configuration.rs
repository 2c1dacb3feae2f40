//! A configuration is right, or refused with one line that says where it is wrong.

use std::{
    fs,
    process::{Command, Output},
};

fn server(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ogrt-server")).args(arguments).output().unwrap()
}

#[test]
fn wrong_configurations_are_refused_with_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ogrt.conf");
    let file = path.to_str().unwrap();
    for (text, named) in [
        ("lisn = \"127.0.0.1:1\"\n", "lisn"),
        ("[join]\nwait = \"5 parsecs\"\n", "5 parsecs"),
        ("[outputs.local]\ntype = \"file\"\npfad = \"/x\"\n", "pfad"),
        ("[outputs.local]\ntype = \"fax\"\n", "fax"),
        ("[outputs.local]\nlayout = \"jobs\"\n", "type"),
        ("[outputs.\"a b\"]\ntype = \"null\"\n", "a b"),
        ("listen = \"somewhere\"\n", "somewhere"),
        (
            "# old\n[uses]\nimages_max = 5\n",
            "line 3: \"uses.images_max\" is called \"uses.programs_max\" now",
        ),
        ("[[filter]]\nuser = \"[\"\n", "line 2: filter.user"),
        ("not toml", "line 1"),
    ] {
        fs::write(&path, text).unwrap();
        for arguments in [&["--config", file, "check-config"][..], &["--config", file]] {
            let output = server(arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{text}: {said}");
            assert!(said.contains(named) && said.contains(file), "{text}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
    }
    fs::remove_file(&path).unwrap();
    let output = server(&["--config", file]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(file));
}

#[test]
fn the_printed_defaults_are_a_good_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ogrt.conf");
    let printed = server(&["print-default-config"]);
    assert!(printed.status.success());
    fs::write(&path, printed.stdout).unwrap();
    let data = directory.path().join("data");
    let output =
        server(&["--config", path.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "check-config"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
