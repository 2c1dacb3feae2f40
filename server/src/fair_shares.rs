//! Shares of a bound: who has how much, and how much each may keep when there is too much.
//!
//! Everybody whom the kernel proves is one sender, and has the same right to what there is. All
//! that is only claimed counts as one sender more, because claims cost nothing; what these may keep
//! is shared among their names in the same way. A sender below its share loses nothing, whatever
//! the others do (`one_sender_pushes_out_nobody_else`).

use std::{collections::HashMap, fmt};

/// Most senders that are told apart; further ones that are only claimed count as one.
const SENDERS_MAX: usize = 20_000;

/// Longest name of a sender.
const NAME_MAX: usize = 128;

/// A sender, as its bytes stand on disk: `p` and the user whom the kernel proved, `r` and the relay
/// that authenticated itself, or `c` and what is claimed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShareHolder(Vec<u8>);

impl ShareHolder {
    /// A user whom the kernel proved, by name.
    pub fn proved(user: &[u8]) -> Self {
        ShareHolder([b"p", &user[..user.len().min(NAME_MAX)]].concat())
    }

    /// A user whom the kernel proved, by number.
    pub fn proved_uid(uid: u32) -> Self {
        ShareHolder::proved(format!("uid {uid}").as_bytes())
    }

    /// A relay that has authenticated itself.
    pub fn relay(name: &[u8]) -> Self {
        ShareHolder([b"r", &name[..name.len().min(NAME_MAX)]].concat())
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

    /// Nobody proved it.
    pub fn is_claimed(&self) -> bool {
        self.0.first() == Some(&b'c')
    }
}

/// The name as metrics and the log show it.
impl fmt::Display for ShareHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = String::from_utf8_lossy(self.0.get(1..).unwrap_or_default());
        match (self.is_claimed(), name.is_empty()) {
            (true, true) => f.write_str("claimed by many names"),
            (true, false) => write!(f, "claimed {}", name.escape_default()),
            (false, _) if self.0.first() == Some(&b'r') => write!(f, "relay {}", name.escape_default()),
            (false, _) => write!(f, "{}", name.escape_default()),
        }
    }
}

/// What each sender has.
#[derive(Clone, Debug, Default)]
pub struct Shares(HashMap<ShareHolder, u64>);

/// How much each may keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    proved: u64,
    claimed: u64,
}

/// There is room for all.
impl Default for Allowance {
    fn default() -> Self {
        Allowance { proved: u64::MAX, claimed: u64::MAX }
    }
}

impl Allowance {
    /// What this sender may keep.
    pub fn of(&self, holder: &ShareHolder) -> u64 {
        if holder.is_claimed() { self.claimed } else { self.proved }
    }
}

impl Shares {
    /// The sender under which something new of this one counts.
    pub fn holder(&self, holder: ShareHolder) -> ShareHolder {
        let is_told_apart =
            !holder.is_claimed() || self.0.len() < SENDERS_MAX || self.0.contains_key(&holder);
        if is_told_apart { holder } else { ShareHolder::others() }
    }

    /// What a sender has.
    pub fn get(&self, holder: &ShareHolder) -> u64 {
        self.0.get(holder).copied().unwrap_or(0)
    }

    /// Sets what a sender has.
    pub fn set(&mut self, holder: ShareHolder, amount: u64) {
        match amount {
            0 => self.0.remove(&holder),
            _ => self.0.insert(holder, amount),
        };
    }

    /// Each sender and what it has.
    pub fn iter(&self) -> impl Iterator<Item = (&ShareHolder, u64)> {
        self.0.iter().map(|(holder, amount)| (holder, *amount))
    }

    /// What they have together.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// What each may keep so that all together have no more than `capacity`.
    pub fn allowance(&self, capacity: u64) -> Allowance {
        let (claimed, proved): (Vec<_>, Vec<_>) = self.iter().partition(|(holder, _)| holder.is_claimed());
        let claimed: Vec<u64> = claimed.into_iter().map(|(_, amount)| amount).collect();
        let all_claimed = claimed.iter().sum();
        let first = proved.into_iter().map(|(_, amount)| amount).chain([all_claimed]).collect();
        let proved = level(first, capacity);
        Allowance { proved, claimed: level(claimed, proved.min(all_claimed)) }
    }

    /// The senders that have more than they may keep.
    pub fn over(&self, allowance: Allowance) -> Vec<(ShareHolder, u64)> {
        let mut over: Vec<_> = self
            .iter()
            .filter(|(holder, amount)| *amount > allowance.of(holder))
            .map(|(holder, amount)| (holder.clone(), amount))
            .collect();
        over.sort_by_key(|(_, amount)| std::cmp::Reverse(*amount));
        over
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
        assert_eq!((allowance.of(&ann), held.over(allowance)), (1690, vec![(flood, 20_000_000)]));
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
        assert_eq!(held.over(held.allowance(2000)), [(flood, 20_000)]);
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
