//! One event as the queue holds it: the message as it came, and what we know of its receipt.
//!
//! ```text
//! u8 flags, u8 kind, u32 length of the message, i64 receipt in Unix nanoseconds,
//! [16 bytes event id, where the client sent none],
//! [u32 pid, u32 uid, u32 gid, where the kernel told them of the process],
//! [u32 uid, where the kernel told only who delivered it],
//! [u8 length, names of relays, where it came by those that we believe], message
//! ```
//! Numbers are little-endian: these bytes never leave the machine.

use super::Sender;
use crate::clock::believed_ns;
use bytes::{Buf, BufMut, Bytes};
use std::sync::atomic::{AtomicU64, Ordering};

const ASSIGNED_ID: u8 = 1;
const CREDENTIALS: u8 = 2;
const FINAL: u8 = 4;
const WHOLE: u8 = 8;
/// Two bits for [`EndSource`].
const END_SOURCE: u8 = 16 | 32;
const FOLLOWED_PROCESS: u8 = 16;
const KERNEL: u8 = 32;
const OWN_PROCESS: u8 = 16 | 32;
const DELIVERED: u8 = 64;
const VIA: u8 = 128;

/// Longest names of relays that an entry keeps.
pub const VIA_MAX: usize = 255;

/// The name in `via` of what ogrt-observe told of a process of this machine.
pub const VIA_OBSERVER: &[u8] = b"observe";

/// The first name in `via` of what was imported from XALT's records. No token has a name with a
/// blank, so no relay is called so.
pub const VIA_XALT: &[u8] = b"import xalt";

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A process has started.
    Start,
    /// It has ended.
    End,
    /// Events of a job were counted, and not recorded one by one.
    Summary,
}

impl Kind {
    /// The type of its frames, which is how it stands in an entry, too.
    pub const fn frame_type(self) -> u8 {
        match self {
            Kind::Start => 12,
            Kind::End => 16,
            Kind::Summary => 17,
        }
    }
}

/// The teller of an end, which decides what becomes of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndSource {
    /// A client; the event stands by itself. All starts and summaries are like that.
    #[default]
    Client,
    /// The process, while we follow it: it waits for the end that the kernel tells.
    FollowedProcess,
    /// The process, of which no start has come yet: perhaps it is in the next socket, and the
    /// kernel will tell the end as well. It waits for that a while.
    OwnProcess,
    /// The kernel, to us. What the process told of its end becomes a part of it.
    Kernel,
}

/// The sender, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process.
    pub pid: u32,
    /// The effective user when it sent.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<M = Bytes> {
    /// The kind of event.
    pub kind: Kind,
    /// The time of receipt, Unix time in nanoseconds.
    pub received_ns: i64,
    /// The id that we gave, where the client sent none.
    pub assigned_id: Option<[u8; 16]>,
    /// The process that the event is about, where it sent the event itself and a kernel told us.
    pub credentials: Option<Credentials>,
    /// The user of the local process that delivered the event, where that is another one.
    pub delivered_by: Option<u32>,
    /// The relays that the event came by, if the last one has authenticated itself.
    pub via: Option<M>,
    /// The event has waited for records, and waits no more.
    pub is_final: bool,
    /// The event was put together from the parts that came.
    pub is_whole: bool,
    /// The teller, where it is an end.
    pub end_source: EndSource,
    /// The protobuf message.
    pub message: M,
}

impl<M> Entry<M> {
    /// The same entry with its bytes in another form.
    fn map<N>(self, mut form: impl FnMut(M) -> N) -> Entry<N> {
        Entry {
            kind: self.kind,
            received_ns: self.received_ns,
            assigned_id: self.assigned_id,
            credentials: self.credentials,
            delivered_by: self.delivered_by,
            via: self.via.map(&mut form),
            is_final: self.is_final,
            is_whole: self.is_whole,
            end_source: self.end_source,
            message: form(self.message),
        }
    }

    /// The sender.
    pub fn sender(&self) -> Sender {
        match (self.credentials, self.delivered_by) {
            (Some(process), _) => Sender::Process(process.uid),
            (None, Some(uid)) => Sender::Local(uid),
            (None, None) => Sender::Anybody,
        }
    }
}

impl<M: AsRef<[u8]>> Entry<M> {
    /// True if the event is another tracker's record, which an administrator has imported.
    pub fn is_import(&self) -> bool {
        let rest = self.via.as_ref().and_then(|via| via.as_ref().strip_prefix(VIA_XALT));
        self.credentials.is_none() && rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b','))
    }

    /// The time of what it tells, never after its receipt. An import tells of what is long past.
    pub fn believed_ns(&self, claimed: Option<i64>) -> i64 {
        match claimed {
            Some(claimed) if self.is_import() => claimed.clamp(0, self.received_ns.max(0)),
            claimed => believed_ns(claimed, self.received_ns),
        }
    }

    /// The relay that brought the event here, unless it is from this machine.
    pub fn relay(&self) -> Option<&[u8]> {
        last_relay(self.via.as_ref()?.as_ref())
    }

    /// Appends the entry to a batch under construction.
    pub fn write(&self, out: &mut Vec<u8>) {
        let message = self.message.as_ref();
        let flag = |condition: bool, flag: u8| if condition { flag } else { 0 };
        let via = self.via.as_ref().map(|via| via.as_ref());
        out.put_u8(
            flag(self.assigned_id.is_some(), ASSIGNED_ID)
                | flag(self.credentials.is_some(), CREDENTIALS)
                | flag(self.is_final, FINAL)
                | flag(self.is_whole, WHOLE)
                | flag(self.end_source == EndSource::FollowedProcess, FOLLOWED_PROCESS)
                | flag(self.end_source == EndSource::OwnProcess, OWN_PROCESS)
                | flag(self.end_source == EndSource::Kernel, KERNEL)
                | flag(self.delivered_by.is_some(), DELIVERED)
                | flag(via.is_some(), VIA),
        );
        out.put_u8(self.kind.frame_type());
        out.put_u32_le(message.len() as u32);
        out.put_i64_le(self.received_ns);
        if let Some(id) = self.assigned_id {
            out.put_slice(&id);
        }
        if let Some(credentials) = self.credentials {
            out.put_u32_le(credentials.pid);
            out.put_u32_le(credentials.uid);
            out.put_u32_le(credentials.gid);
        }
        if let Some(uid) = self.delivered_by {
            out.put_u32_le(uid);
        }
        if let Some(via) = via {
            let via = &via[..via.len().min(VIA_MAX)];
            out.put_u8(via.len() as u8);
            out.put_slice(via);
        }
        out.put_slice(message);
    }
}

impl Entry {
    /// Takes one entry off the front; `None` at the end, and where the bytes are not what we wrote.
    pub fn read(from: &mut Bytes) -> Option<Entry> {
        let mut rest = &from[..];
        let entry = Entry::<&[u8]>::borrowed(&mut rest)?;
        let taken = from.len() - rest.len();
        let entry = entry.map(|bytes| from.slice_ref(bytes));
        from.advance(taken);
        Some(entry)
    }
}

fn last_relay(via: &[u8]) -> Option<&[u8]> {
    if via == VIA_OBSERVER || via == VIA_XALT {
        return None;
    }
    via.rsplit(|byte| *byte == b',').next()
}

impl<'a> Entry<&'a [u8]> {
    /// The relay that brought the event here, among the bytes that the entry was read from.
    pub fn relay_name(&self) -> Option<&'a [u8]> {
        last_relay(self.via?)
    }

    /// Takes one entry off the front, and borrows its message.
    pub fn borrowed(from: &mut &'a [u8]) -> Option<Self> {
        let flags = from.try_get_u8().ok()?;
        let kind = match from.try_get_u8().ok()? {
            12 => Kind::Start,
            16 => Kind::End,
            17 => Kind::Summary,
            _ => return None,
        };
        let len = from.try_get_u32_le().ok()? as usize;
        let received_ns = from.try_get_i64_le().ok()?;
        let assigned_id = if flags & ASSIGNED_ID != 0 {
            let mut id = [0; 16];
            from.try_copy_to_slice(&mut id).ok()?;
            Some(id)
        } else {
            None
        };
        let credentials = if flags & CREDENTIALS != 0 {
            Some(Credentials {
                pid: from.try_get_u32_le().ok()?,
                uid: from.try_get_u32_le().ok()?,
                gid: from.try_get_u32_le().ok()?,
            })
        } else {
            None
        };
        let delivered_by = if flags & DELIVERED != 0 { Some(from.try_get_u32_le().ok()?) } else { None };
        let via = if flags & VIA != 0 {
            let len = usize::from(from.try_get_u8().ok()?);
            let (via, rest) = from.split_at_checked(len)?;
            *from = rest;
            Some(via)
        } else {
            None
        };
        let (message, rest) = from.split_at_checked(len)?;
        *from = rest;
        Some(Entry {
            kind,
            received_ns,
            assigned_id,
            credentials,
            delivered_by,
            via,
            is_final: flags & FINAL != 0,
            is_whole: flags & WHOLE != 0,
            end_source: match flags & END_SOURCE {
                FOLLOWED_PROCESS => EndSource::FollowedProcess,
                OWN_PROCESS => EndSource::OwnProcess,
                KERNEL => EndSource::Kernel,
                _ => EndSource::Client,
            },
            message,
        })
    }
}

/// Entries under construction, one after the other.
#[derive(Debug, Default)]
pub struct Entries {
    bytes: Vec<u8>,
    count: u64,
    oldest_ns: Option<i64>,
}

impl Entries {
    /// Appends one.
    pub fn push<M: AsRef<[u8]>>(&mut self, entry: &Entry<M>) {
        entry.write(&mut self.bytes);
        self.count += 1;
        self.oldest_ns.get_or_insert(entry.received_ns);
    }

    /// The number of entries.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time of receipt of the first; `None` where there is none.
    pub fn oldest_ns(&self) -> Option<i64> {
        self.oldest_ns
    }

    /// The bytes of all, as a batch has them.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes room for this many bytes.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Their bytes, to be kept.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Each of them.
    pub fn into_each(self) -> impl Iterator<Item = Entry> {
        let mut rest = Bytes::from(self.bytes);
        std::iter::from_fn(move || Entry::read(&mut rest))
    }
}

/// Gives ids to events that came without one: UUIDv7 of the time of receipt.
///
/// The random part is one random number for each run of the server plus a count, so it costs no
/// system call and no two events of a run share it.
#[derive(Debug)]
pub struct EventIds {
    random: u128,
    count: AtomicU64,
}

impl EventIds {
    /// A new series.
    pub fn new() -> Self {
        EventIds { random: uuid::Uuid::new_v4().as_u128(), count: AtomicU64::new(0) }
    }

    /// The next id.
    pub fn next(&self, received_ns: i64) -> [u8; 16] {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let random = self.random.wrapping_add(u128::from(count)).to_be_bytes();
        let mut tail = [0; 10];
        tail.copy_from_slice(&random[6..]);
        uuid::Builder::from_unix_timestamp_millis((received_ns / 1_000_000).max(0) as u64, &tail)
            .into_uuid()
            .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written_and_no_cut_of_it_is() {
        let entry = Entry {
            kind: Kind::End,
            received_ns: -5,
            assigned_id: Some([7; 16]),
            credentials: Some(Credentials { pid: 1, uid: 2, gid: 3 }),
            delivered_by: Some(4),
            via: Some(Bytes::from_static(b"rack")),
            is_final: true,
            is_whole: false,
            end_source: EndSource::Kernel,
            message: Bytes::from_static(b"message"),
        };
        let mut written = Vec::new();
        entry.write(&mut written);
        let bytes = Bytes::from(written);
        assert_eq!(Entry::read(&mut bytes.clone()), Some(entry));
        for cut in 0..bytes.len() {
            assert_eq!(Entry::read(&mut bytes.slice(..cut)), None, "cut at {cut}");
        }
    }

    #[test]
    fn ids_of_one_run_differ_and_carry_their_time() {
        let ids = EventIds::new();
        let (first, second) = (ids.next(1_700_000_000_123_456_789), ids.next(1_700_000_000_123_456_789));
        assert_ne!(first, second);
        let uuid = uuid::Uuid::from_bytes(first);
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(
            u64::from_be_bytes([0, 0, first[0], first[1], first[2], first[3], first[4], first[5]]),
            1_700_000_000_123
        );
    }
}
