//! Makes one line of what repeats among siblings: `sed x 1,204`.
//!
//! Lines are equal if the same program ran the same, they ended in the same way, and what is below
//! them is equal, too. A tree is folded from below, so a loop of a thousand turns is as long as one
//! turn. Nothing here calls itself: strangers decide how deep a tree is.

use crate::process_tree::{Node, Tree};
use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

/// A number for each kind of line with all that is below it.
type Kind = u32;

/// What equal lines share, beside what is below them.
#[derive(PartialEq, Eq, Hash)]
struct Likeness {
    program: Rc<str>,
    name: Rc<str>,
    software: Rc<str>,
    is_unregistered: bool,
    is_exec: bool,
    counts: [usize; 4],
    missing: u64,
    endings: BTreeMap<Rc<str>, usize>,
}

impl Likeness {
    fn of(node: &Node) -> Likeness {
        Likeness {
            program: node.program.clone(),
            name: node.name.clone(),
            software: node.software.clone(),
            is_unregistered: node.is_unregistered,
            is_exec: node.is_exec,
            counts: [node.processes, node.claimed, node.ranks, node.ended],
            missing: node.missing,
            endings: node.endings.clone(),
        }
    }
}

/// Makes equal siblings one line, in all of the tree.
pub fn fold(tree: &mut Tree) {
    let mut kinds: HashMap<(Likeness, Vec<(Kind, usize)>), Kind> = HashMap::new();
    let mut kind_of: Vec<Kind> = vec![0; tree.nodes.len()];
    // Children stand behind their parents.
    for at in (0..tree.nodes.len()).rev() {
        let children = std::mem::take(&mut tree.nodes[at].children);
        let children = fold_siblings(tree, children, &kind_of);
        // In which order they began makes no difference.
        let mut below: Vec<(Kind, usize)> =
            children.iter().map(|child| (kind_of[*child], tree.nodes[*child].times)).collect();
        below.sort_unstable();
        tree.nodes[at].children = children;
        let fresh = kinds.len() as Kind;
        kind_of[at] = *kinds.entry((Likeness::of(&tree.nodes[at]), below)).or_insert(fresh);
    }
    let roots = std::mem::take(&mut tree.roots);
    tree.roots = fold_siblings(tree, roots, &kind_of);
}

/// Merges siblings of one kind into the first of them, and returns those that are left.
fn fold_siblings(tree: &mut Tree, siblings: Vec<usize>, kind_of: &[Kind]) -> Vec<usize> {
    let mut first_of: HashMap<Kind, usize> = HashMap::new();
    let mut left = Vec::new();
    for sibling in siblings {
        match first_of.get(&kind_of[sibling]) {
            Some(first) => merge(tree, *first, sibling, kind_of),
            None => {
                first_of.insert(kind_of[sibling], sibling);
                left.push(sibling);
            }
        }
    }
    left
}

/// Merges a line, with what is below it, into one of its kind.
fn merge(tree: &mut Tree, into: usize, from: usize, kind_of: &[Kind]) {
    let mut open = vec![(into, from)];
    while let Some((into, from)) = open.pop() {
        let node = std::mem::take(&mut tree.nodes[from]);
        // Siblings of one kind are one line by now.
        let twins: HashMap<Kind, usize> =
            tree.nodes[into].children.iter().map(|twin| (kind_of[*twin], *twin)).collect();
        open.extend(node.children.iter().filter_map(|child| Some((*twins.get(&kind_of[*child])?, *child))));
        tree.nodes[into].merge(node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job_document::Job;
    use serde_json::{Value, json};

    fn process(pid: i64, parent: i64, line: &str, status: i64) -> Value {
        let arguments: Vec<&str> = line.split(' ').collect();
        json!({ "pid": pid, "parent_pid": parent, "start_time_ns": pid, "binpath": arguments[0],
            "arguments": arguments, "hostname": "n1", "identity": "kernel",
            "end": { "ended_by": "exit", "exit_status": status, "end_time_ns": 9_000_000,
                "duration_ns": pid * 10 } })
    }

    fn folded(processes: &[Value]) -> Tree {
        let mut tree = Tree::of(&Job::of(&json!({ "processes": processes })));
        fold(&mut tree);
        tree
    }

    /// The lines of a tree from the top, with their depth.
    fn lines(tree: &Tree) -> Vec<String> {
        let mut open: Vec<(usize, usize)> = tree.roots.iter().rev().map(|root| (*root, 0)).collect();
        let mut lines = Vec::new();
        while let Some((at, depth)) = open.pop() {
            let node = &tree.nodes[at];
            lines.push(format!("{}{} x {}", " ".repeat(depth), node.name, node.times));
            open.extend(node.children.iter().rev().map(|child| (*child, depth + 1)));
        }
        lines
    }

    #[test]
    fn a_loop_is_as_long_as_one_turn_and_what_failed_stands_apart() {
        let mut processes = vec![process(1, 0, "/bin/bash job.sh", 0)];
        for turn in 0..1000 {
            let pid = 10 + turn * 10;
            processes.push(process(pid, 1, "/usr/bin/python3 step.py", 0));
            processes.push(process(pid + 1, pid, "/bin/sed s/a/b/", 0));
            processes.push(process(pid + 2, pid, "/bin/sed s/b/c/", 0));
            processes.push(process(pid + 3, pid, "/bin/cat", i64::from(turn == 500)));
        }
        let tree = folded(&processes);
        let expected = [
            "job.sh x 1",
            " step.py x 999",
            "  sed x 1998",
            "  cat x 999",
            " step.py x 1",
            "  sed x 2",
            "  cat x 1",
        ];
        assert_eq!(lines(&tree), expected);
        let step = &tree.nodes[tree.nodes[tree.roots[0]].children[0]];
        assert_eq!((step.shortest_ns, step.longest_ns), (100, 100_000), "the durations are a range");
        assert_eq!((step.processes, step.ended), (999, 999));
    }

    #[test]
    fn what_ran_other_scripts_is_not_equal() {
        let tree = folded(&[
            process(1, 0, "/bin/bash job.sh", 0),
            process(2, 1, "/usr/bin/python3 a.py", 0),
            process(3, 1, "/usr/bin/python3 b.py", 0),
            process(4, 1, "/usr/bin/python3 a.py", 0),
        ]);
        assert_eq!(lines(&tree), ["job.sh x 1", " a.py x 2", " b.py x 1"]);
    }

    #[test]
    fn a_very_deep_tree_is_folded() {
        let chain = |first: i64| (0..10_000).map(move |at| process(first + at, first + at - 1, "/bin/sh", 0));
        let processes: Vec<Value> = chain(10).chain(chain(100_000)).collect();
        let tree = folded(&processes);
        assert_eq!((tree.roots.len(), tree.nodes[tree.roots[0]].times), (1, 2));
    }
}
