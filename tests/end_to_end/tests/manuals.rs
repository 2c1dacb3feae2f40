//! Manual pages and completions as they are installed: complete, and for the commands that the
//! program has.

use ogrt_end_to_end::{Stage, see, text};
use std::{fs, path::PathBuf, process::Command};

fn share(stage: &Stage) -> PathBuf {
    let installed = see(stage.command("sh").args(["-c", "dirname \"$(dirname \"$(command -v ogrt)\")\""]));
    PathBuf::from(text(&installed.stdout).trim()).join("share")
}

/// The commands, as the help lists them.
fn commands(stage: &Stage) -> Vec<String> {
    let help = text(&see(&mut stage.site.ogrt(&["--help"])).stdout);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let names = list.lines().take_while(|line| !line.trim().is_empty());
    names
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn each_command_has_a_manual_page() {
    let stage = Stage::new();
    let commands = commands(&stage);
    assert!(commands.len() > 15, "{commands:?}");
    let folder = share(&stage).join("man/man1");
    for command in &commands {
        let page = fs::read_to_string(folder.join(format!("ogrt-{command}.1"))).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{command}: {page}");
    }
    let page = fs::read_to_string(folder.join("ogrt-verify.1")).unwrap();
    // The page has what the help has: exit status and options.
    assert!(page.contains("Exit status: 0 identical") && page.contains("\\-\\-exact"), "{page}");
    let pages = fs::read_dir(&folder).unwrap().flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().starts_with("ogrt")
    });
    assert!(pages.count() > commands.len(), "ogrt.1 and one for each");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let stage = Stage::new();
    let share = share(&stage);
    for (shell, place, arguments) in [
        ("bash", "bash-completion/completions/ogrt", &["-n"][..]),
        ("zsh", "zsh/site-functions/_ogrt", &["-n"]),
        ("fish", "fish/vendor_completions.d/ogrt.fish", &["--no-execute"]),
    ] {
        let path = share.join(place);
        let script = fs::read_to_string(&path).unwrap();
        for command in commands(&stage) {
            assert!(script.contains(&command), "{shell}: {command}");
        }
        let Ok(output) = Command::new(shell).args(arguments).arg(&path).output() else {
            // The tests install bash and fish; zsh is checked where it exists.
            let must_be = shell != "zsh" && std::env::var_os("CI").is_some();
            assert!(!must_be, "in CI a missing {shell} is a failure");
            println!("skipped: needs {shell}");
            continue;
        };
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
    }

    // A person has them so: the word before the cursor is completed.
    let path = share.join("bash-completion/completions/ogrt");
    let script = format!(
        "source {}; COMP_WORDS=(ogrt ver); COMP_CWORD=1; _ogrt ogrt ver ogrt; echo \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let output = see(Command::new("bash").args(["-c", &script]));
    assert_eq!(text(&output.stdout).trim(), "verify verify-attestation", "{}", text(&output.stderr));
}
