//! Rows of hosts, which know fewer figures than others.

use crate::sums::{HostKey, SumKey, take_holder};
use serde_json::Value;

/// The key of a row, its host, and its value; of rows of users no host is known.
pub fn read_row<'a>(
    key: &'a [u8],
    value: &'a [u8],
    is_host: bool,
) -> Option<(SumKey<'a>, &'a [u8], &'a [u8])> {
    if !is_host {
        return Some((SumKey::read(key)?, b"", value));
    }
    let (host, mut rest) = (HostKey::read(key)?, value);
    take_holder(&mut rest)?;
    Some((host.sum_key(), host.host, rest))
}

/// Removes the figures that nobody knows of a host: its users and accounts, which builds were
/// registered, and node time, which is a job's.
pub fn leave_out_unknown(answer: &mut Value) {
    let leave_out = |line: &mut Value| {
        if let Some(line) = line.as_object_mut() {
            for key in ["users", "accounts", "node_us", "core_us"] {
                line.remove(key);
            }
        }
    };
    answer["lines"].as_array_mut().into_iter().flatten().for_each(leave_out);
    leave_out(&mut answer["total"]);
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("unregistered");
    }
}
