//! The shortest circles of a graph.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The shortest circle through each edge that lies on one, each circle once: its points in
/// order, the alphabetically first one in front.
pub fn circles(edges: &BTreeSet<(String, String)>) -> BTreeSet<Vec<String>> {
    edges
        .iter()
        .filter_map(|(from, to)| {
            let mut circle = path(edges, to, from)?;
            let first = circle.iter().enumerate().min_by_key(|(_, name)| *name)?.0;
            circle.rotate_left(first);
            Some(circle)
        })
        .collect()
}

/// The points of the shortest path, both ends among them.
fn path(edges: &BTreeSet<(String, String)>, from: &String, to: &String) -> Option<Vec<String>> {
    let mut reached_from: BTreeMap<&String, &String> = BTreeMap::new();
    let mut waiting = VecDeque::from([from]);
    while let Some(at) = waiting.pop_front() {
        if at == to {
            let mut points = vec![at.clone()];
            let mut at = at;
            while at != from {
                at = reached_from[at];
                points.push(at.clone());
            }
            points.reverse();
            return Some(points);
        }
        for (_, next) in edges.iter().filter(|(start, _)| start == at) {
            if next != from && !reached_from.contains_key(next) {
                reached_from.insert(next, at);
                waiting.push_back(next);
            }
        }
    }
    None
}

#[test]
fn each_circle_is_found_once() {
    let edges = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect::<BTreeSet<_>>()
    };
    assert!(circles(&edges(&[("a", "b"), ("b", "c"), ("a", "c")])).is_empty());
    let found = circles(&edges(&[("b", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "b"), ("d", "e")]));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [vec!["a", "b"], vec!["b", "c", "d"]]);
}
