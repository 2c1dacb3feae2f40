//! The dashboards for Grafana (`dashboards/grafana-*.json`): their form by Grafana's own types, and
//! each of their queries put to the real program that answers it.

mod health;
mod reports;

use crate::sending::services::has;
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process::Command};

const NAMES: [&str; 2] = ["health", "reports"];

/// The text of a dashboard.
fn text(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards");
    fs::read_to_string(folder.join(format!("grafana-{name}.json"))).unwrap()
}

fn board(name: &str) -> Value {
    serde_json::from_str(&text(name)).unwrap()
}

/// Each query of a dashboard with the title of its panel.
fn queries(board: &Value) -> Vec<(String, Value)> {
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push((title.to_owned(), target.clone()));
        }
    }
    queries
}

#[test]
fn the_dashboards_are_of_the_form_that_grafana_publishes() {
    if !has("node") || !has("npm") {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/tests");
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    };
    let (installed, said) = run("npm", &["ci", "--no-audit", "--no-fund", "--ignore-scripts"]);
    assert!(installed, "{said}");
    let write = |name: &str, text: &str| {
        let text = format!("import type {{ Board }} from './form';\nexport const board: Board = {text};\n");
        fs::write(folder.path().join(format!("{name}.ts")), text).unwrap();
    };
    let checked = || run("node", &["node_modules/typescript/bin/tsc", "--project", "."]);
    NAMES.iter().for_each(|name| write(name, &text(name)));
    let (is_right, said) = checked();
    assert!(is_right, "{said}");

    // The check itself finds what is wrong.
    for (right, wrong) in [
        ("\"colorMode\": \"background\"", "\"colorMode\": \"backgruond\""),
        ("\"drawStyle\"", "\"drawStile\""),
        ("\"legendFormat\"", "\"legend\""),
    ] {
        write("health", &text("health").replacen(right, wrong, 1));
        let (is_right, said) = checked();
        assert!(!is_right && said.contains("health.ts"), "{wrong}: {said}");
    }
}

#[test]
fn each_panel_says_what_to_do_and_has_a_place_of_its_own() {
    for name in NAMES {
        let board = board(name);
        assert_eq!(board["uid"], format!("ogrt-{name}"));
        let (mut ids, mut places) = (BTreeSet::new(), BTreeSet::new());
        for panel in board["panels"].as_array().unwrap() {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{name}: {title}: the id is there twice");
            if panel["type"] != "row" {
                let about = panel["description"].as_str().unwrap_or_default();
                assert!(about.len() > 20, "{name}: {title} has no description");
                assert!(!panel["targets"].as_array().unwrap().is_empty(), "{name}: {title} asks nothing");
            }
            let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
            assert!(x + w <= 24, "{name}: {title} is beyond the right edge");
            for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                assert!(places.insert(place), "{name}: {title} lies on another panel");
            }
        }
    }
}
