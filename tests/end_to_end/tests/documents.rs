//! Every line of these documents that calls `ogrt` is typed as it stands, on a server with a site
//! in a box: it has the exit status that the text says, and the columns that the text shows.

use ogrt_end_to_end::{
    Stage,
    document_lines::{DocumentLine, OutputShape, read},
    documented_machine::DocumentedMachine,
    text,
};
use std::path::Path;
use xtask::{child, site_in_a_box::Filler, stack, workspace::Workspace};

const DOCUMENTS: [(&str, &str); 5] = [
    ("report", include_str!("../../../docs/report.md")),
    ("learn", include_str!("../../../docs/learn.md")),
    ("questions", include_str!("../../../docs/questions.md")),
    ("xalt", include_str!("../../../docs/xalt.md")),
    // What it does shows in other answers.
    ("identify", include_str!("../../../docs/identify.md")),
];

/// Jobs of the site.
const JOBS: u64 = 600;

#[test]
fn each_line_of_the_documents_can_be_typed() {
    for tool in ["gcc", "clang", "patchelf", "bwrap"] {
        let is_there = child::exists(tool);
        assert!(is_there || std::env::var_os("CI").is_none(), "in CI a missing {tool} is a failure");
        if !is_there {
            return println!("skipped: needs {tool}");
        }
    }
    let workspace = Workspace::find().unwrap();
    let filler = Filler::build(&workspace, "dev", |cargo| child::run(cargo, &mut |_| {})).unwrap();
    let stage = Stage::filled(|data_dir| drop(filler.fill(data_dir, JOBS).unwrap()));
    let work = stage.folder().join("stack");
    stack::build_and_run(&stage.site, &work, "4700").unwrap();
    let machine = DocumentedMachine::new(&stage, &work);

    let mut failures = Vec::new();
    let mut typed = 0;
    for (name, document) in DOCUMENTS {
        let lines = read(name, document);
        assert!(lines.len() > 2, "{name}: the search itself is broken");
        for line in &lines {
            typed += 1;
            failures.extend(try_line(&stage, &work, &machine, line));
        }
    }
    println!("{typed} lines of {} documents", DOCUMENTS.len());
    assert!(failures.is_empty(), "{} lines fail:\n\n{}", failures.len(), failures.join("\n\n"));
}

/// Types the line; what is wrong with the answer.
fn try_line(stage: &Stage, work: &Path, machine: &DocumentedMachine, line: &DocumentLine) -> Option<String> {
    let output = machine.run(stage, work, &line.command);
    let (told, errors) = (text(&output.stdout), text(&output.stderr));
    let problem = |what: String| {
        let shown: Vec<&str> = told.lines().take(12).collect();
        Some(format!("{}: {}\n{what}\n{}\n{errors}", line.place, line.command, shown.join("\n")))
    };
    if output.status.code() != Some(line.status) {
        return problem(format!("exit status {:?}, not {}", output.status.code(), line.status));
    }
    let lines: Vec<String> = told.lines().map(str::to_owned).collect();
    OutputShape::of(&line.output).missing_in(&OutputShape::of(&lines)).and_then(problem)
}

#[test]
fn lines_are_found_with_their_output_and_status() {
    let text = "Ask `ogrt job 4711` or `ogrt show FILE`, by `ogrt learn --dpkg`.\n\
                ```\nogrt jobs --state running  # now\nA_B=1 ogrt query x\nls\n```\n\
                ```\n$ ogrt uses x\n job  user\n 1    ann\n$ ls\n y\n```\nThe exit status is 1 here.\n";
    let lines = read("x", text);
    let commands: Vec<&str> = lines.iter().map(|line| &*line.command).collect();
    let expected = ["ogrt job 4711", "ogrt jobs --state running  # now", "A_B=1 ogrt query x", "ogrt uses x"];
    assert_eq!(commands, expected);
    assert_eq!((lines[3].status, lines[2].status, &*lines[3].place), (1, 0, "docs/x.md:8"));
    assert_eq!(lines[3].output, [" job  user", " 1    ann"]);
    let shape = OutputShape::of(&lines[3].output);
    assert_eq!(shape.heads, [["job", "user"]]);
    let other =
        |lines: &[&str]| OutputShape::of(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
    assert_eq!(shape.missing_in(&other(&[" job  user", " 2    bob"])), None);
    assert!(shape.missing_in(&other(&[" job  account"])).is_some());
    let sheet = other(&[" job        4711", " last used  2026"]);
    assert_eq!(sheet.names, ["job", "last used"]);
    assert!(sheet.missing_in(&other(&[" job  4711"])).is_some());
}
