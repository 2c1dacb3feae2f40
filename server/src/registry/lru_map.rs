//! A map of what was used lately: two generations of a bounded number.
//!
//! A hit in the older one moves to the younger, and when the younger is full the older is forgotten. That keeps
//! what is used, for one lookup and no bookkeeping.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// See the module.
pub struct LruMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_max: usize,
}

impl<K: Hash + Eq, V> LruMap<K, V> {
    /// Keeps at least the last `generation_max`, and at most twice as many.
    pub fn new(generation_max: usize) -> Self {
        LruMap { young: HashMap::new(), old: HashMap::new(), generation_max: generation_max.max(1) }
    }

    /// What is remembered under the key.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.insert(key, value);
        }
        self.young.get(key)
    }

    /// The same, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        self.young.get_mut(key)
    }

    /// Remembers a value.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Forgets one, and gives it back.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let young = self.young.remove(key);
        young.or(self.old.remove(key))
    }
}
