//! Who registers a build: written into its record when it arrives, and into no other place.
//!
//! A record says of itself what it likes, and so [`stamp`] takes out what it says of its registrar.
//! Only a relay that has authenticated itself is believed: what it tells stays, and its name is
//! added. `server/tests/server/provenance.rs` holds that.

use crate::{
    fields,
    tokens::{Scope, TokenHolder},
};
use bytes::Bytes;
use ogrt_proto::{BuildRecord, Registrar, field_numbers::build_record};
use prost::Message;

/// The sender of a record, as far as anything proves it.
#[derive(Clone, Copy, Default)]
pub struct RecordSender<'a> {
    /// The user and the group that the kernel told.
    pub user: Option<(u32, u32)>,
    /// That user's name, where the server knows it.
    pub username: Option<&'a str>,
    /// Whoever holds the token that was shown.
    pub holder: Option<&'a TokenHolder>,
    /// The way of an import, where it is another tracker's record.
    pub import: Option<&'a [u8]>,
}

impl RecordSender<'_> {
    /// What it says of other senders is believed.
    pub fn is_relay(&self) -> bool {
        self.holder.is_some_and(|holder| holder.scopes.has(Scope::Relay))
    }

    /// Whoever sent it, if anything proves that.
    pub fn registrar(&self) -> Option<Registrar> {
        let (uid, gid) = self.user.unzip();
        let token = self.holder.map(|holder| holder.name.clone());
        let username = self.username.map(str::to_owned);
        let via = self.import.map(|import| String::from_utf8_lossy(import).into_owned());
        let registrar = Registrar { uid, gid, username, token, via, ..Registrar::default() };
        (registrar != Registrar::default()).then_some(registrar)
    }
}

/// The record with its registrar as we know it.
pub fn stamp(record: &Bytes, sender: RecordSender<'_>) -> Bytes {
    let registrar = match sender.holder.filter(|_| sender.is_relay()) {
        Some(relay) => Some(passed_on(record, &relay.name)),
        None => sender.registrar(),
    };
    let bare = match fields::without(record, build_record::REGISTRAR) {
        Ok(None) => record.clone(),
        Ok(Some(bare)) => bare.into(),
        // It may be a message all the same, with groups, which nobody of ours writes.
        Err(_) => match BuildRecord::decode(record.clone()) {
            Ok(decoded) => BuildRecord { registrar: None, ..decoded }.encode_to_vec().into(),
            Err(_) => return record.clone(),
        },
    };
    match registrar {
        None => bare,
        Some(_) => {
            let ours = BuildRecord { registrar, ..BuildRecord::default() };
            [&bare[..], &ours.encode_to_vec()].concat().into()
        }
    }
}

/// What a relay tells of the registrar, with the relay's name.
fn passed_on(record: &Bytes, relay: &str) -> Registrar {
    let told = BuildRecord::decode(record.clone()).ok().and_then(|record| record.registrar);
    let mut told = told.unwrap_or_default();
    told.via = Some(match told.via {
        Some(before) => format!("{before},{relay}"),
        None => relay.to_owned(),
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::Scopes;

    fn record(registrar: Option<Registrar>) -> Bytes {
        BuildRecord { signature: Some(vec![1; 16].into()), registrar, ..BuildRecord::default() }
            .encode_to_vec()
            .into()
    }

    fn registrar_of(record: &Bytes) -> Option<Registrar> {
        BuildRecord::decode(record.clone()).unwrap().registrar
    }

    fn holder(scopes: &str) -> TokenHolder {
        TokenHolder { name: "node7".into(), scopes: scopes.parse::<Scopes>().unwrap() }
    }

    #[test]
    fn what_a_record_says_of_its_registrar_is_not_believed() {
        let forged = Registrar { uid: Some(0), token: Some("site".into()), ..Registrar::default() };
        let sender = RecordSender { user: Some((7, 8)), ..RecordSender::default() };
        let kept = registrar_of(&stamp(&record(Some(forged.clone())), sender)).unwrap();
        assert_eq!((kept.uid, kept.gid, kept.token), (Some(7), Some(8), None));
        assert_eq!(registrar_of(&stamp(&record(Some(forged.clone())), RecordSender::default())), None);
        let token = holder("register");
        let sender = RecordSender { holder: Some(&token), ..RecordSender::default() };
        let kept = registrar_of(&stamp(&record(Some(forged.clone())), sender)).unwrap();
        assert_eq!((kept.uid, kept.token.as_deref()), (None, Some("node7")));
        // Twice, and after a group, which is a message of its own kind to most readers.
        let twice = [record(Some(forged.clone())), record(Some(forged.clone()))].concat();
        let grouped = [&[0xFB, 0x7F, 0xFC, 0x7F][..], &record(Some(forged))].concat();
        for hostile in [twice, grouped] {
            assert_eq!(registrar_of(&stamp(&hostile.into(), RecordSender::default())), None);
        }
    }

    #[test]
    fn a_relay_is_believed_and_named() {
        let told = Registrar { uid: Some(7), token: Some("site".into()), ..Registrar::default() };
        let relay = holder("relay");
        let sender = RecordSender { user: Some((0, 0)), holder: Some(&relay), ..RecordSender::default() };
        let once = stamp(&record(Some(told)), sender);
        let kept = registrar_of(&once).unwrap();
        assert_eq!((kept.uid, kept.token.as_deref()), (Some(7), Some("site")));
        assert_eq!(kept.via.as_deref(), Some("node7"));
        assert_eq!(registrar_of(&stamp(&once, sender)).unwrap().via.as_deref(), Some("node7,node7"));
    }

    #[test]
    fn a_record_that_nobody_proves_stays_as_it_came() {
        assert_eq!(stamp(&record(None), RecordSender::default()), record(None));
        let garbage = Bytes::from_static(b"\xFF");
        assert_eq!(stamp(&garbage, RecordSender::default()), garbage);
    }
}
