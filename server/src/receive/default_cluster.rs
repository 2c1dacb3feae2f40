//! The cluster of events that do not name it: the one in the server's configuration.
//!
//! It is put into the message when the event is received, so that whoever reads the event later, at
//! the next server too, sees the same.

use crate::queue::{Kind, cluster_field};
use bytes::BufMut;
use prost::encoding::encode_varint;
use std::borrow::Cow;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct DefaultCluster {
    /// The field as it stands in each kind of message; empty where no cluster is configured.
    fields: [Vec<u8>; 3],
}

impl DefaultCluster {
    /// This cluster; none where the name is empty.
    pub fn new(name: &str) -> Self {
        if name.is_empty() {
            return DefaultCluster::default();
        }
        let field = |kind| {
            let mut field = Vec::new();
            // The wire type of bytes.
            encode_varint(u64::from(cluster_field(kind)) << 3 | 2, &mut field);
            encode_varint(name.len() as u64, &mut field);
            field.put_slice(name.as_bytes());
            field
        };
        DefaultCluster { fields: [Kind::Start, Kind::End, Kind::Summary].map(field) }
    }

    /// The message with the cluster, where it has none.
    pub fn add_to<'a>(&self, kind: Kind, message: &'a [u8], has_cluster: bool) -> Cow<'a, [u8]> {
        let [start, end, summary] = &self.fields;
        let field = match kind {
            Kind::Start => start,
            Kind::End => end,
            Kind::Summary => summary,
        };
        match has_cluster || field.is_empty() {
            true => Cow::Borrowed(message),
            false => Cow::Owned([message, field].concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ogrt_proto::{ProcessEnd, ProcessInfo};
    use prost::Message;

    #[test]
    fn a_message_without_a_cluster_gets_the_one_that_is_configured() {
        let alpha = DefaultCluster::new("alpha");
        let info = ProcessInfo { pid: Some(3), ..ProcessInfo::default() };
        let message = info.encode_to_vec();
        let added = ProcessInfo::decode(&*alpha.add_to(Kind::Start, &message, false)).unwrap();
        assert_eq!(added, ProcessInfo { cluster: Some("alpha".into()), ..info });
        let end = ProcessEnd::decode(&*alpha.add_to(Kind::End, b"", false)).unwrap();
        assert_eq!(end.cluster(), b"alpha");
        assert!(matches!(alpha.add_to(Kind::Start, &message, true), Cow::Borrowed(_)));
        assert!(matches!(DefaultCluster::new("").add_to(Kind::End, b"", false), Cow::Borrowed(_)));
    }
}
