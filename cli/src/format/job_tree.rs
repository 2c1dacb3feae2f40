//! `ogrt job --tree` for people: the process tree, a line a process or launch.

use crate::format::sheet::Sheet;
use ogrt_answers::{
    process_tree::Tree,
    tree_line::{count, duration, endings, hosts, identity, software},
    units::grouped,
};

/// The tree of a job.
pub fn text(tree: &Tree) -> String {
    let mut sheet = Sheet::new();
    sheet.titles(&["name", "software", "processes", "identity", "hosts", "duration", "end", "program"]);
    // Depth first, without recursion: strangers decide how deep a tree is.
    let mut open: Vec<(usize, usize, String, bool)> =
        tree.roots.iter().rev().map(|root| (*root, 0, String::new(), true)).collect();
    while let Some((at, depth, indent, is_last)) = open.pop() {
        let node = &tree.nodes[at];
        let branch = match (depth, is_last) {
            (0, _) => "",
            (_, true) => "└─ ",
            (_, false) => "├─ ",
        };
        let exec = if node.is_exec { "exec " } else { "" };
        let times = if node.times > 1 { format!(" x {}", grouped(node.times as u64)) } else { String::new() };
        sheet.columns([
            format!("{indent}{branch}{exec}{}{times}", node.name),
            software(node),
            count(node),
            identity(node),
            hosts(node),
            duration(node),
            endings(node),
            node.program.to_string(),
        ]);
        let below = match (depth, is_last) {
            (0, _) => indent.clone(),
            // Beyond this depth the page would be all lines.
            _ if depth >= DEPTH_SHOWN_MAX => indent.clone(),
            (_, true) => format!("{indent}   "),
            (_, false) => format!("{indent}│  "),
        };
        for (index, child) in node.children.iter().enumerate().rev() {
            open.push((*child, depth + 1, below.clone(), index + 1 == node.children.len()));
        }
    }
    sheet.text()
}

/// The depth of the deepest indentation.
const DEPTH_SHOWN_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_answers::job_document::Job;
    use serde_json::{Value, json};

    #[test]
    fn a_chain_without_end_is_drawn() {
        let processes: Vec<Value> = (0..10_000)
            .map(|pid| json!({ "pid": pid, "parent_pid": pid - 1, "time": pid, "binpath": "/bin/sh" }))
            .collect();
        let tree = Tree::of(&Job::of(&json!({ "processes": processes })));
        assert_eq!(text(&tree).lines().count(), 10_001);
    }

    #[test]
    fn a_line_says_how_its_processes_failed() {
        let ended = |pid: i64, parent: i64, rank: i64, end: Value| {
            json!({ "pid": pid, "parent_pid": parent, "time": pid, "binpath": format!("/bin/p{parent}"),
                    "mpi": { "rank": rank, "size": 3 }, "end": end })
        };
        let killed = json!({ "ended_by": "signal", "signal": 9 });
        let job = json!({
            "processes": [
                ended(1, 0, 0, json!({ "ended_by": "exit", "exit_status": 3 })),
                ended(2, 1, 0, json!({ "ended_by": "exit", "exit_status": 0 })),
                ended(3, 1, 1, killed.clone()),
                ended(4, 1, 2, killed),
            ],
            "launches": [{ "processes": [1, 2, 3] }],
        });
        let tree = text(&Tree::of(&Job::of(&job)));
        assert!(tree.contains("exit 3"), "{tree}");
        assert!(tree.contains("2 × signal 9") && !tree.contains("exit 0"), "{tree}");
    }
}
