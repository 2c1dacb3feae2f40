//! `ogrt job --tree` for people: the process tree, a line a process or launch.

use crate::{
    format::{purl::base_name, sheet::Sheet},
    process_tree::{Node, Tree},
};
use ogrt_proto::{CLAIMED, KERNEL};

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
        sheet.columns([
            format!("{indent}{branch}{exec}{}", base_name(&node.program)),
            software(node),
            count(node),
            identity(node),
            hosts(node),
            duration(node),
            endings(node),
            node.program.clone(),
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

fn software(node: &Node) -> String {
    match (node.software.is_empty(), node.is_unregistered) {
        (true, true) => "-".into(),
        (true, false) => "registered".into(),
        (false, true) => format!("{} (not registered)", node.software),
        (false, false) => node.software.clone(),
    }
}

fn count(node: &Node) -> String {
    match (node.ranks, node.missing) {
        (0, _) => {}
        (1, 0) => return "1 rank".into(),
        (ranks, 0) => return format!("{ranks} ranks"),
        (ranks, missing) => return format!("{ranks} of {} ranks seen", ranks as u64 + missing),
    }
    if node.processes > 1 { format!("{} times", node.processes) } else { format!("pid {}", node.pid) }
}

/// The processes that the kernel proved, or that somebody only claims.
fn identity(node: &Node) -> String {
    match node.claimed {
        0 => KERNEL.into(),
        claimed if claimed == node.processes => CLAIMED.into(),
        some => format!("{some} {CLAIMED}"),
    }
}

fn hosts(node: &Node) -> String {
    match node.hosts.len() {
        0 => String::new(),
        1..=3 => node.hosts.iter().cloned().collect::<Vec<_>>().join(" "),
        many => format!("{many} hosts"),
    }
}

/// The time from the first start to the last end. Of programs that each rank ran by itself it is
/// the longest duration.
fn duration(node: &Node) -> String {
    if node.ended < node.processes {
        return match node.processes - node.ended {
            _ if node.processes == 1 => "no end seen".into(),
            without => format!("{without} without an end"),
        };
    }
    let ns = if node.ranks > 0 {
        node.end_ns.saturating_sub(node.start_ns).try_into().unwrap_or(0)
    } else {
        node.longest_ns
    };
    let seconds = ns as f64 / 1e9;
    match ns / 1_000_000_000 {
        0..60 => format!("{seconds:.2} s"),
        60..3_600 => format!("{}:{:02} min", ns / 60_000_000_000, ns / 1_000_000_000 % 60),
        whole => format!("{}:{:02} h", whole / 3_600, whole / 60 % 60),
    }
}

/// How the processes ended that did not exit with status 0.
fn endings(node: &Node) -> String {
    let one = |(ending, count): (&String, &usize)| match node.processes {
        1 => ending.clone(),
        _ => format!("{count} × {ending}"),
    };
    node.endings.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_chain_without_end_is_drawn() {
        let processes: Vec<Value> = (0..10_000)
            .map(|pid| json!({ "pid": pid, "parent_pid": pid - 1, "time": pid, "binpath": "/bin/sh" }))
            .collect();
        let tree = Tree::of(&json!({ "processes": processes }));
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
        let tree = text(&Tree::of(&job));
        assert!(tree.contains("exit 3"), "{tree}");
        assert!(tree.contains("2 × signal 9") && !tree.contains("exit 0"), "{tree}");
    }
}
