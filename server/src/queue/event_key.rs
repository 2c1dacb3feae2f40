//! What makes an event the same one: its id, its kind and its part, read from the message's
//! outermost fields.

use super::{Entry, Kind};
use crate::fields::{Fields, Value};
use ogrt_proto::field_numbers::{job_summary, process_end, process_info};

/// Event id, kind and part.
pub type PartKey = [u8; 21];

/// The key of an entry among those of acknowledging streams; `None` when its client gave it no id.
pub fn part_key(entry: &Entry, identity: &Identity) -> Option<PartKey> {
    let mut key = [0; 21];
    key[..16].copy_from_slice(&identity.event_id?);
    key[16] = match entry.kind {
        Kind::Start => 0,
        Kind::End => 1,
        Kind::Summary => 2,
    };
    key[17..].copy_from_slice(&identity.part_index.to_be_bytes());
    Some(key)
}

/// The key of a process's end, whoever tells it, once the kernel has.
pub fn end_key(event_id: &[u8; 16]) -> PartKey {
    let mut key = [0; 21];
    key[..16].copy_from_slice(event_id);
    key[16] = 3;
    key
}

/// The fields that name an event, or a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The client's id, where it is a good one.
    pub event_id: Option<[u8; 16]>,
    /// The index of the part; zero for an event in one piece.
    pub part_index: u32,
    /// The number of parts; one for an event in one piece.
    pub part_count: u32,
    /// The event names its cluster.
    pub has_cluster: bool,
    /// The user that a start names.
    pub claimed_uid: Option<u32>,
}

/// The field with the name of the cluster.
pub fn cluster_field(kind: Kind) -> u32 {
    match kind {
        Kind::Start => process_info::CLUSTER,
        Kind::End => process_end::CLUSTER,
        Kind::Summary => job_summary::CLUSTER,
    }
}

/// Walks the outermost fields; `None` when they are not well-formed.
pub fn identify(kind: Kind, message: &[u8]) -> Option<Identity> {
    let (id_field, part_fields) = match kind {
        Kind::Start => (process_info::EVENT_ID, Some((process_info::PART_INDEX, process_info::PART_COUNT))),
        Kind::End => (process_end::EVENT_ID, Some((process_end::PART_INDEX, process_end::PART_COUNT))),
        // It comes in one piece.
        Kind::Summary => (job_summary::EVENT_ID, None),
    };
    let cluster_field = cluster_field(kind);
    let (index_field, count_field) = part_fields.unzip();
    let mut identity = Identity { part_count: 1, ..Identity::default() };
    for field in Fields::of(message) {
        match field.ok()? {
            (field, Value::Bytes(id)) if field == id_field => identity.event_id = id.try_into().ok(),
            (field, Value::Bytes(name)) if field == cluster_field => identity.has_cluster = !name.is_empty(),
            (field, Value::Varint(index)) if Some(field) == index_field => identity.part_index = index as u32,
            (field, Value::Varint(count)) if Some(field) == count_field => {
                identity.part_count = (count as u32).max(1)
            }
            (process_info::UID, Value::Varint(uid)) if kind == Kind::Start => {
                identity.claimed_uid = Some(uid as u32)
            }
            _ => {}
        }
    }
    Some(identity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{ProcessEnd, ProcessInfo};
    use prost::Message;

    #[test]
    fn the_walk_finds_what_the_decoder_finds() {
        let info = ProcessInfo {
            binpath: Some("/bin/true".into()),
            time: Some(-1),
            event_id: Some(vec![9; 16].into()),
            part_index: Some(2),
            part_count: Some(5),
            uid: Some(7),
            cluster: Some("alpha".into()),
            ..Default::default()
        };
        let expected = Identity {
            event_id: Some([9; 16]),
            part_index: 2,
            part_count: 5,
            has_cluster: true,
            claimed_uid: Some(7),
        };
        assert_eq!(identify(Kind::Start, &info.encode_to_vec()), Some(expected));
        let end = ProcessEnd { event_id: Some(vec![8; 16].into()), pid: Some(4), ..Default::default() };
        let expected = Identity { event_id: Some([8; 16]), part_count: 1, ..Identity::default() };
        assert_eq!(identify(Kind::End, &end.encode_to_vec()), Some(expected));
    }

    #[test]
    fn no_cut_of_a_message_leads_out_of_it() {
        let whole = include_bytes!("../../../proto/tests/data/ogrt-0.5-processinfo.bin");
        assert!(identify(Kind::Start, &whole[8..]).is_some());
        for end in 8..whole.len() {
            let _ = identify(Kind::Start, &whole[8..end]);
        }
        assert_eq!(identify(Kind::Start, b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(identify(Kind::Start, &[0xFF; 40]), None);
    }
}
