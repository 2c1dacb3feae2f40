//! The sender of an event, as far as the server knows: with the id it makes an event what it is.
//!
//! Event ids can be read in answers, so whoever has one may send events under it. What is proved
//! stands over what is claimed, and a claim that the kernel bound to a user over one that anybody
//! may have made. So a foreign event keeps out none of the true ones, and what was delivered twice,
//! by the process itself and from a spool, still counts once.

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// Anybody: the event came over a network, from no relay that we believe.
    Anybody,
    /// A local process of this user, and not the one that the event is about.
    Local(u32),
    /// The process itself, of this user.
    Process(u32),
}

/// The user who may send in the name of others, since spools of all users are open to it.
const ROOT: u32 = 0;

impl Sender {
    /// True if the kernel proves that the process itself has sent the event.
    pub fn is_proved(self) -> bool {
        matches!(self, Sender::Process(_))
    }

    /// All that comes from one user, be it the process itself or a spool: the parts of an event may
    /// take both ways.
    pub fn of_user(self) -> Sender {
        match self {
            Sender::Process(uid) => Sender::Local(uid),
            other => other,
        }
    }

    /// True if more of what this sender says is proved.
    pub fn is_stronger_than(self, other: Sender) -> bool {
        let strength = |sender| match sender {
            Sender::Anybody => 0,
            Sender::Local(_) => 1,
            Sender::Process(_) => 2,
        };
        strength(self) > strength(other)
    }

    /// True if an event of `later` tells nothing new where one with the same id and part came from
    /// `self`. `claimed_uid` is the user that the later one names; an end names none.
    pub fn covers(self, later: Sender, claimed_uid: Option<u32>) -> bool {
        match (self, later) {
            (Sender::Process(uid), Sender::Local(later)) => {
                later == uid || (later == ROOT && claimed_uid == Some(uid))
            }
            (Sender::Process(uid), Sender::Anybody) => claimed_uid == Some(uid),
            _ => self == later,
        }
    }

    /// The same of an end that the kernel told of a process of this user.
    pub fn kernel_covers(uid: u32, later: Sender) -> bool {
        match later {
            Sender::Process(later) => later == uid,
            Sender::Local(later) => later == uid || later == ROOT,
            Sender::Anybody => true,
        }
    }

    /// True if an end of this sender may be the end of a start. `claimed_uid` is the user that the
    /// start names.
    pub fn may_end(self, start: Sender, claimed_uid: Option<u32>) -> bool {
        match (start, self) {
            (Sender::Process(_), _) | (Sender::Anybody, Sender::Anybody) => start == self,
            (Sender::Local(_), Sender::Anybody) => false,
            (Sender::Local(_), Sender::Local(ROOT)) => true,
            (Sender::Local(by), Sender::Local(uid) | Sender::Process(uid)) => {
                uid == by || (by == ROOT && claimed_uid == Some(uid))
            }
            (Sender::Anybody, Sender::Local(uid) | Sender::Process(uid)) => {
                uid == ROOT || claimed_uid == Some(uid)
            }
        }
    }

    /// The sender as the queue's memory has it.
    pub fn to_bytes(self) -> [u8; 5] {
        let (class, uid) = match self {
            Sender::Anybody => (0, 0),
            Sender::Local(uid) => (1, uid),
            Sender::Process(uid) => (2, uid),
        };
        let [a, b, c, d] = u32::to_be_bytes(uid);
        [class, a, b, c, d]
    }

    /// Reads what [`Sender::to_bytes`] wrote.
    pub fn from_bytes([class, uid @ ..]: [u8; 5]) -> Option<Sender> {
        let uid = u32::from_be_bytes(uid);
        match class {
            0 => Some(Sender::Anybody),
            1 => Some(Sender::Local(uid)),
            2 => Some(Sender::Process(uid)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Sender; 7] = [
        Sender::Anybody,
        Sender::Local(ROOT),
        Sender::Local(1),
        Sender::Local(2),
        Sender::Process(ROOT),
        Sender::Process(1),
        Sender::Process(2),
    ];

    #[test]
    fn no_claim_keeps_out_a_proof_and_none_ends_what_is_proved() {
        for claimed in [None, Some(1)] {
            for known in ALL {
                assert!(known.covers(known, claimed));
                assert_eq!(Sender::from_bytes(known.to_bytes()), Some(known));
                for proved in [1, 2].map(Sender::Process) {
                    assert_eq!(known.covers(proved, claimed), known == proved, "{known:?} {proved:?}");
                    assert_eq!(known.may_end(proved, Some(1)), known == proved, "{known:?} {proved:?}");
                }
                // Nor does what anybody sends keep out what a local user does.
                for local in [1, 2] {
                    let by_user = [Sender::Local(local), Sender::Process(local)].contains(&known);
                    assert_eq!(known.covers(Sender::Local(local), claimed), by_user, "{known:?} {local}");
                }
            }
        }
    }

    #[test]
    fn what_the_process_sent_is_not_counted_again_from_a_spool() {
        for spooled in [Sender::Local(1), Sender::Local(ROOT), Sender::Anybody] {
            assert!(Sender::Process(1).covers(spooled, Some(1)));
            assert!(spooled == Sender::Local(1) || !Sender::Process(1).covers(spooled, Some(2)));
            assert!(Sender::kernel_covers(1, spooled));
        }
        assert!(!Sender::Process(2).covers(Sender::Local(1), Some(2)));
        assert!(!Sender::kernel_covers(2, Sender::Local(1)));
    }

    #[test]
    fn a_spooled_start_has_the_end_of_its_own_user() {
        let spooled = Sender::Local(ROOT);
        assert!(Sender::Process(1).may_end(spooled, Some(1)) && Sender::Local(1).may_end(spooled, Some(1)));
        assert!(!Sender::Process(2).may_end(spooled, Some(1)) && !Sender::Anybody.may_end(spooled, Some(1)));
        assert!(Sender::Anybody.may_end(Sender::Anybody, Some(1)));
        assert!(!Sender::Process(2).may_end(Sender::Anybody, Some(1)));
    }
}
