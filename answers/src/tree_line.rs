//! What a line of a job's tree says.

use crate::{
    process_tree::Node,
    units::{duration as time, grouped},
};
use ogrt_proto::{CLAIMED, KERNEL};
use std::rc::Rc;

/// The software, and what is to be said of its registration.
pub fn software(node: &Node) -> String {
    match (node.software.is_empty(), node.is_unregistered) {
        (true, true) => "-".into(),
        (true, false) => "registered".into(),
        (false, true) => format!("{} (not registered)", node.software),
        (false, false) => node.software.to_string(),
    }
}

/// The number of processes or ranks, or the pid of one.
pub fn count(node: &Node) -> String {
    let all = |count: u64| grouped(count);
    let ranks = node.ranks as u64;
    match (ranks, node.missing) {
        (0, _) => {}
        (1, 0) => return "1 rank".into(),
        (ranks, 0) => return format!("{} ranks", all(ranks)),
        (ranks, missing) => return format!("{} of {} ranks seen", all(ranks), all(ranks + missing)),
    }
    match node.processes {
        1 if node.pid < 0 => "pid unknown".to_owned(),
        1 => format!("pid {}", node.pid),
        processes => format!("{} times", all(processes as u64)),
    }
}

/// The processes that the kernel proved, or that somebody only claims.
pub fn identity(node: &Node) -> String {
    match node.claimed {
        0 => KERNEL.into(),
        claimed if claimed == node.processes => CLAIMED.into(),
        some => format!("{some} {CLAIMED}"),
    }
}

/// The hosts, or their number.
pub fn hosts(node: &Node) -> String {
    match node.hosts.len() {
        0 => String::new(),
        1..=3 => node.hosts.iter().map(|host| &**host).collect::<Vec<_>>().join(" "),
        many => format!("{many} hosts"),
    }
}

/// The time from the first start to the last end of ranks. Of other processes that are one line it
/// is the shortest duration and the longest.
pub fn duration(node: &Node) -> String {
    if node.ended < node.processes {
        return match node.processes - node.ended {
            _ if node.processes == 1 => "no end seen".into(),
            without => format!("{} without an end", grouped(without as u64)),
        };
    }
    if node.ranks > 0 && node.times == 1 {
        return time(node.end_ns.saturating_sub(node.start_ns).try_into().unwrap_or(0));
    }
    let [shortest, longest] = [node.shortest_ns, node.longest_ns].map(time);
    if shortest == longest { longest } else { format!("{shortest} to {longest}") }
}

/// How the processes ended that did not exit with status 0.
pub fn endings(node: &Node) -> String {
    let one = |(ending, count): (&Rc<str>, &usize)| match node.processes {
        1 => ending.to_string(),
        _ => format!("{} × {ending}", grouped(*count as u64)),
    };
    node.endings.iter().map(one).collect::<Vec<_>>().join(", ")
}
