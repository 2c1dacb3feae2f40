//! Who built: what a record claims, held against what the server knows of whoever registered it.
//!
//! A record comes from a program that may say anything. Where the kernel told who registered it,
//! that user built it, and what the record claims beside stands apart. Two cases stay claims: a
//! record that nobody proved, and one that root delivered for another user, whose spool it sent.

use crate::{BuildRecord, Registrar};

/// The value of `identity` where the kernel proved the user.
pub const KERNEL: &str = "kernel";

/// The value of `identity` where the record only claims the user.
pub const CLAIMED: &str = "claimed";

/// Who built, in the form that answers have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Builder {
    /// The user; a proof where `is_proved`.
    pub uid: Option<u32>,
    /// That user's name.
    pub username: Option<String>,
    /// The kernel told that this user registered the record.
    pub is_proved: bool,
    /// The user that the record claims, where that is another than the proved one.
    pub claimed_uid: Option<u32>,
    /// The name that the record claims, where the proved user has another one, or none.
    pub claimed_username: Option<String>,
}

impl Builder {
    /// The builder of this record.
    pub fn of(record: &BuildRecord) -> Self {
        let proved = record.registrar.as_ref().and_then(|registrar| Some((registrar, registrar.uid?)));
        match proved.filter(|(_, uid)| *uid != 0 || record.uid.unwrap_or(0) == 0) {
            Some((registrar, uid)) => Builder {
                uid: Some(uid),
                username: registrar.username.clone(),
                is_proved: true,
                claimed_uid: record.uid.filter(|claimed| *claimed != uid),
                claimed_username: record
                    .username
                    .clone()
                    .filter(|claimed| Some(claimed) != registrar.username.as_ref()),
            },
            None => Builder { uid: record.uid, username: record.username.clone(), ..Builder::default() },
        }
    }

    /// `kernel` or `claimed`.
    pub fn identity(&self) -> &'static str {
        if self.is_proved { KERNEL } else { CLAIMED }
    }
}

impl Registrar {
    /// The name of whoever registered, and what proved it: `token`, `certificate` or `kernel`.
    /// `None` where nothing did.
    pub fn name(&self) -> Option<(String, &'static str)> {
        let token = self.token.clone().map(|name| (name, "token"));
        let certificate = || self.certificate.clone().map(|name| (name, "certificate"));
        token.or_else(certificate).or_else(|| self.uid.map(|uid| (format!("uid {uid}"), KERNEL)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(claimed: Option<u32>, proved: Option<u32>) -> Builder {
        let registrar = proved.map(|uid| Registrar {
            uid: Some(uid),
            username: Some(format!("name{uid}")),
            ..Registrar::default()
        });
        Builder::of(&BuildRecord {
            uid: claimed,
            username: claimed.map(|uid| format!("name{uid}")),
            registrar,
            ..BuildRecord::default()
        })
    }

    #[test]
    fn a_proof_stands_before_a_claim_and_root_may_deliver_for_others() {
        let same = builder(Some(7), Some(7));
        assert_eq!((same.uid, same.is_proved, same.claimed_uid), (Some(7), true, None));
        assert_eq!(same.claimed_username, None);
        let forged = builder(Some(0), Some(7));
        assert_eq!((forged.uid, forged.is_proved, forged.claimed_uid), (Some(7), true, Some(0)));
        assert_eq!(
            (forged.username.as_deref(), forged.claimed_username.as_deref()),
            (Some("name7"), Some("name0"))
        );
        let delivered = builder(Some(7), Some(0));
        assert_eq!((delivered.uid, delivered.identity()), (Some(7), CLAIMED));
        assert_eq!((builder(Some(7), None).uid, builder(Some(7), None).identity()), (Some(7), CLAIMED));
        assert_eq!((builder(None, Some(0)).uid, builder(None, Some(0)).identity()), (Some(0), KERNEL));
    }
}
