//! Shares of a bound: who has how much, and how much each may keep when there is too much.
//!
//! Everybody whom this machine's kernel proves is one sender, and has the same right to what there
//! is. A relay that has authenticated itself has the right of one sender, which the users behind it
//! share in the same way: a relay that invents users takes from nobody but itself
//! (`a_relay_that_invents_users_takes_from_itself_alone`). All that is only claimed counts as one
//! sender more, because claims cost nothing; what these may keep is shared among their names. A
//! sender below its share loses nothing, whatever the others do
//! (`one_sender_pushes_out_nobody_else`).

use std::{collections::HashMap, fmt};

/// Most senders that are told apart; further ones that are only claimed count as one.
const SENDERS_MAX: usize = 20_000;

/// Most users behind one relay that are told apart; further ones count as one.
const BEHIND_RELAY_MAX: usize = 4096;

/// Longest name of a sender, and of the relay before it.
const NAME_MAX: usize = 128;
const RELAY_MAX: usize = 64;

/// A sender, as its bytes stand on disk: `p` and the user whom the kernel proved; `r`, the user
/// whom a relay's kernel proved, a zero, and the relay that authenticated itself; or `c` and what
/// is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareHolder(Vec<u8>);

/// The ways in which a sender is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HolderKind {
    /// This machine's kernel proves it.
    Proved,
    /// A relay says what its kernel proved.
    Relayed,
    /// Nobody proved it.
    Claimed,
}

impl HolderKind {
    /// A name for several senders of this kind.
    pub fn others(self) -> &'static str {
        match self {
            HolderKind::Proved => "others",
            HolderKind::Relayed => "others behind relays",
            HolderKind::Claimed => "claimed by many names",
        }
    }
}

impl ShareHolder {
    /// A user whom the kernel proved, by name.
    pub fn proved(user: &[u8]) -> Self {
        ShareHolder([b"p", &user[..user.len().min(NAME_MAX)]].concat())
    }

    /// A user whom the kernel of a relay proved, or that of this machine where no relay is named.
    pub fn proved_by(relay: Option<&[u8]>, user: &[u8]) -> Self {
        let Some(relay) = relay else { return ShareHolder::proved(user) };
        let user: Vec<u8> = user.iter().copied().filter(|byte| *byte != 0).take(NAME_MAX).collect();
        ShareHolder([b"r", &user[..], b"\0", &relay[..relay.len().min(RELAY_MAX)]].concat())
    }

    /// The beginning of the bytes of a user behind whatever relay; of relays as a whole where no
    /// user is named.
    pub fn behind_any(user: &[u8]) -> Vec<u8> {
        ShareHolder::proved_by(Some(b""), user).0
    }

    /// A user whom the kernel proved, by number.
    pub fn proved_uid(uid: u32) -> Self {
        ShareHolder::uid_by(None, uid)
    }

    /// The same where a relay may have told it.
    pub fn uid_by(relay: Option<&[u8]>, uid: u32) -> Self {
        ShareHolder::proved_by(relay, format!("uid {uid}").as_bytes())
    }

    /// A relay that has authenticated itself, or several users behind it.
    pub fn relay(name: &[u8]) -> Self {
        ShareHolder::proved_by(Some(name), b"")
    }

    /// A user on a host, as they say.
    pub fn claimed(user: &[u8], host: &[u8]) -> Self {
        let cut = |text: &[u8]| text[..text.len().min(NAME_MAX / 2 - 1)].to_vec();
        ShareHolder([b"c", &cut(user)[..], b"@", &cut(host)[..]].concat())
    }

    /// All who are claimed and beyond the bound of those who are told apart.
    pub fn others() -> Self {
        ShareHolder(b"c".to_vec())
    }

    /// The holder with these bytes.
    pub fn read(bytes: &[u8]) -> Self {
        ShareHolder(bytes.to_vec())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Tells how it is known.
    pub fn kind(&self) -> HolderKind {
        match self.0.first() {
            Some(b'c') => HolderKind::Claimed,
            Some(b'r') => HolderKind::Relayed,
            _ => HolderKind::Proved,
        }
    }

    /// Nobody proved it.
    pub fn is_claimed(&self) -> bool {
        self.kind() == HolderKind::Claimed
    }

    /// The relay that it stands behind, or is.
    pub fn relay_name(&self) -> Option<&[u8]> {
        let name = self.0.strip_prefix(b"r")?;
        name.splitn(2, |byte| *byte == 0).nth(1)
    }
}

/// The name as metrics and the log show it.
impl fmt::Display for ShareHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.get(1..).unwrap_or_default();
        let user = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let (user, relay) = (String::from_utf8_lossy(user), self.relay_name().map(String::from_utf8_lossy));
        let user = user.escape_default();
        match (relay, name) {
            (Some(relay), [0, ..]) => write!(f, "relay {}", relay.escape_default()),
            (Some(relay), _) => write!(f, "{user} behind relay {}", relay.escape_default()),
            (None, []) if self.is_claimed() => f.write_str(HolderKind::Claimed.others()),
            (None, _) if self.is_claimed() => write!(f, "claimed {user}"),
            (None, _) => write!(f, "{user}"),
        }
    }
}

/// What each sender has.
#[derive(Clone, Debug, Default)]
pub struct Shares {
    amounts: HashMap<ShareHolder, u64>,
    relays: HashMap<Vec<u8>, RelayTotal>,
}

/// What the users behind a relay have together.
#[derive(Clone, Copy, Debug, Default)]
struct RelayTotal {
    /// Wider than one amount, which may be a time.
    amount: u128,
    users: usize,
}

impl RelayTotal {
    fn amount(&self) -> u64 {
        u64::try_from(self.amount).unwrap_or(u64::MAX)
    }
}

/// How much each may keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// A user whom the kernel proves, and a relay as a whole.
    proved: u64,
    claimed: u64,
    /// A user behind each relay.
    behind: HashMap<Vec<u8>, u64>,
}

/// There is room for all.
impl Default for Allowance {
    fn default() -> Self {
        Allowance { proved: u64::MAX, claimed: u64::MAX, behind: HashMap::new() }
    }
}

impl Allowance {
    /// What this sender may keep.
    pub fn of(&self, holder: &ShareHolder) -> u64 {
        if holder.is_claimed() {
            return self.claimed;
        }
        let behind = holder.relay_name().and_then(|relay| self.behind.get(relay));
        behind.copied().unwrap_or(self.proved)
    }

    /// Tells whether there is too much of something.
    pub fn is_limited(&self) -> bool {
        *self != Allowance::default()
    }
}

impl Shares {
    /// The sender under which something new of this one counts.
    pub fn holder(&self, holder: ShareHolder) -> ShareHolder {
        if self.amounts.contains_key(&holder) {
            return holder;
        }
        match holder.relay_name() {
            Some(relay) if self.relays.get(relay).is_some_and(|total| total.users >= BEHIND_RELAY_MAX) => {
                ShareHolder::relay(relay)
            }
            None if holder.is_claimed() && self.amounts.len() >= SENDERS_MAX => ShareHolder::others(),
            _ => holder,
        }
    }

    /// What a sender has.
    pub fn get(&self, holder: &ShareHolder) -> u64 {
        self.amounts.get(holder).copied().unwrap_or(0)
    }

    /// What all behind a relay have.
    pub fn of_relay(&self, relay: &[u8]) -> u64 {
        self.relays.get(relay).map_or(0, RelayTotal::amount)
    }

    /// What all behind each relay have.
    pub fn of_relays(&self) -> HashMap<Vec<u8>, u64> {
        self.relays.iter().map(|(relay, total)| (relay.clone(), total.amount())).collect()
    }

    /// Sets what a sender has.
    pub fn set(&mut self, holder: ShareHolder, amount: u64) {
        let relay = holder.relay_name().map(<[u8]>::to_vec);
        let before = match amount {
            0 => self.amounts.remove(&holder),
            _ => self.amounts.insert(holder, amount),
        };
        let Some(relay) = relay else { return };
        let total = self.relays.entry(relay.clone()).or_default();
        total.amount = total.amount - u128::from(before.unwrap_or(0)) + u128::from(amount);
        total.users = total.users + usize::from(amount > 0) - usize::from(before.is_some());
        if total.users == 0 {
            self.relays.remove(&relay);
        }
    }

    /// All senders that have something.
    pub fn iter(&self) -> impl Iterator<Item = (&ShareHolder, u64)> {
        self.amounts.iter().map(|(holder, amount)| (holder, *amount))
    }

    /// What all have together.
    pub fn total(&self) -> u64 {
        self.amounts.values().sum()
    }

    /// How much each may keep, where all together have no more than `capacity`.
    pub fn allowance(&self, capacity: u64) -> Allowance {
        let (mut first, mut claimed) = (Vec::new(), Vec::new());
        let mut behind: HashMap<&[u8], Vec<u64>> = HashMap::new();
        for (holder, amount) in self.iter() {
            match holder.relay_name() {
                Some(relay) => behind.entry(relay).or_default().push(amount),
                None if holder.is_claimed() => claimed.push(amount),
                None => first.push(amount),
            }
        }
        let all_claimed = claimed.iter().sum();
        first.push(all_claimed);
        first.extend(behind.values().map(|amounts| amounts.iter().sum::<u64>()));
        let proved = level(first, capacity);
        let of_relay = |(relay, amounts): (&[u8], Vec<u64>)| {
            let all = amounts.iter().sum();
            (relay.to_vec(), level(amounts, proved.min(all)))
        };
        let behind = behind.into_iter().map(of_relay).filter(|(_, amount)| *amount < u64::MAX).collect();
        Allowance { proved, claimed: level(claimed, proved.min(all_claimed)), behind }
    }

    /// The senders that have more than they may keep.
    pub fn over(&self, allowance: &Allowance) -> Vec<(ShareHolder, u64)> {
        let mut over: Vec<_> = self
            .iter()
            .filter(|(holder, amount)| *amount > allowance.of(holder))
            .map(|(holder, amount)| (holder.clone(), amount))
            .collect();
        over.sort_by_key(|(_, amount)| std::cmp::Reverse(*amount));
        over
    }
}

/// Room for so much, of which all have so much. Half of it is anybody's. When more is used, a
/// sender may have only as much as is left, and so may a relay; a user behind a relay may have as
/// much as is left of the relay's.
#[derive(Clone, Copy, Debug)]
pub struct FairRoom {
    pub max: usize,
    pub used: usize,
}

impl FairRoom {
    /// Tells whether a sender that has `own` may have `more`. `of_relay`: what all behind its relay
    /// have.
    pub fn fits(self, more: usize, own: usize, of_relay: usize) -> bool {
        more <= self.left() && (self.used <= self.max / 2 || !self.is_too_much(own + more, of_relay))
    }

    /// Tells whether this is more than a sender may have of the second half.
    pub fn is_too_much(self, own: usize, of_relay: usize) -> bool {
        own > self.left().saturating_sub(of_relay)
    }

    fn left(self) -> usize {
        self.max.saturating_sub(self.used)
    }
}

/// The largest amount that each may have, so that all fit: no limit where they do already.
fn level(mut amounts: Vec<u64>, capacity: u64) -> u64 {
    amounts.sort_unstable();
    let mut left = capacity;
    for (before, amount) in amounts.iter().enumerate() {
        let share = left / (amounts.len() - before) as u64;
        if *amount > share {
            return share;
        }
        left -= amount;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(all: &[(ShareHolder, u64)]) -> Shares {
        let mut shares = Shares::default();
        all.iter().for_each(|(holder, amount)| shares.set(holder.clone(), *amount));
        shares
    }

    #[test]
    fn one_sender_pushes_out_nobody_else() {
        let [ann, bob, flood] = ["ann", "bob", "flood"].map(|user| ShareHolder::proved(user.as_bytes()));
        let held = shares(&[(ann.clone(), 300), (bob.clone(), 10), (flood.clone(), 20_000_000)]);
        let allowance = held.allowance(2000);
        assert_eq!((allowance.of(&ann), held.over(&allowance)), (1690, vec![(flood, 20_000_000)]));
        assert_eq!(held.allowance(u64::MAX).of(&ann), u64::MAX, "nobody loses where there is room");
    }

    #[test]
    fn many_claimed_names_are_together_one_sender() {
        let ann = ShareHolder::proved(b"ann");
        let mut all = vec![(ann.clone(), 900)];
        let honest = ShareHolder::claimed(b"carol", b"node1");
        all.push((honest.clone(), 5));
        all.extend((0..1000).map(|n| (ShareHolder::claimed(format!("u{n}").as_bytes(), b"h"), 10)));
        let held = shares(&all);
        let allowance = held.allowance(2000);
        assert!(allowance.of(&ann) >= 900, "{allowance:?}");
        assert_eq!(allowance.of(&honest), 1, "they share what is left of all claims");
        // One name among claims: the others keep theirs.
        let flood = ShareHolder::claimed(b"daemon", b"node1");
        let held = shares(&[(ann, 300), (honest, 300), (flood.clone(), 20_000)]);
        assert_eq!(held.over(&held.allowance(2000)), [(flood, 20_000)]);
    }

    #[test]
    fn a_relay_that_invents_users_takes_from_itself_alone() {
        let of = |relay: &'static [u8], uid| ShareHolder::uid_by(Some(relay), uid);
        let (ann, bob) = (ShareHolder::proved(b"ann"), of(b"rack1", 1));
        let mut all = vec![(ann.clone(), 500), (bob.clone(), 500)];
        all.extend((0..5000).map(|uid| (of(b"liar", uid), 10)));
        let held = shares(&all);
        let allowance = held.allowance(2000);
        let over = held.over(&allowance);
        assert!(over.len() == 5000 && over.iter().all(|(holder, _)| holder.relay_name() == Some(b"liar")));
        let kept: u64 = held.iter().map(|(holder, amount)| amount.min(allowance.of(holder))).sum();
        assert!(kept <= 2000, "{kept}");
        // A user who floods behind a relay takes nothing from the others behind it, nor elsewhere.
        let flood = of(b"rack1", 2);
        let held = shares(&[(ann, 500), (bob.clone(), 500), (flood.clone(), 20_000), (of(b"rack2", 2), 300)]);
        let allowance = held.allowance(2000);
        assert_eq!((held.over(&allowance), allowance.of(&flood)), (vec![(flood.clone(), 20_000)], 700));
        // The same user behind another relay is another sender.
        assert_eq!(allowance.of(&of(b"rack2", 2)), 1200);
        assert_eq!(held.of_relay(b"rack1"), 20_500);
        assert_eq!(
            [&flood, &ShareHolder::relay(b"liar")].map(ToString::to_string),
            ["uid 2 behind relay rack1", "relay liar"]
        );
    }

    #[test]
    fn users_behind_a_relay_are_bounded() {
        let mut held = Shares::default();
        let of = |uid| ShareHolder::uid_by(Some(b"liar"), uid);
        for uid in 0..=BEHIND_RELAY_MAX as u32 {
            let holder = held.holder(of(uid));
            held.set(holder.clone(), held.get(&holder) + 2);
        }
        assert_eq!(held.get(&ShareHolder::relay(b"liar")), 2);
        assert_eq!(held.of_relay(b"liar"), 2 * (BEHIND_RELAY_MAX as u64 + 1));
        assert_eq!(held.holder(ShareHolder::uid_by(Some(b"rack"), 1)).relay_name(), Some(&b"rack"[..]));
        held.set(of(1), u64::MAX);
        held.set(of(2), u64::MAX);
        [1, 2].into_iter().for_each(|uid| held.set(of(uid), 2));
        held.set(of(0), 0);
        assert_eq!(held.of_relay(b"liar"), 2 * BEHIND_RELAY_MAX as u64);
        let long = ShareHolder::proved_by(Some(&[b'a'; 300]), &[b'b'; 300]);
        assert!(long.as_bytes().len() < 255);
        assert_eq!(ShareHolder::read(long.as_bytes()).relay_name(), Some(&[b'a'; RELAY_MAX][..]));
    }

    #[test]
    fn names_are_bounded_and_plain() {
        let long = ShareHolder::claimed(&[b'a'; 1000], &[b'b'; 1000]);
        assert!(long.as_bytes().len() <= 1 + NAME_MAX);
        assert_eq!(ShareHolder::read(long.as_bytes()), long);
        assert_eq!(ShareHolder::claimed(b"a\n\x1B", b"h").to_string(), "claimed a\\n\\u{1b}@h");
        assert_eq!(ShareHolder::proved(b"1001").to_string(), "1001");
        let mut held = Shares::default();
        for n in 0..=SENDERS_MAX {
            let holder = held.holder(ShareHolder::claimed(n.to_string().as_bytes(), b"h"));
            held.set(holder.clone(), held.get(&holder) + 1);
        }
        assert_eq!((held.get(&ShareHolder::others()), held.total()), (1, SENDERS_MAX as u64 + 1));
        assert_eq!(held.holder(ShareHolder::proved(b"ann")), ShareHolder::proved(b"ann"));
    }
}
