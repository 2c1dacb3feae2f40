//! A map that keeps what was used lately, in two generations of bounded size.
//!
//! A hit in the older generation moves to the younger. When the younger is full, the older is
//! forgotten. That keeps what is used, for the cost of one lookup.

use std::{borrow::Borrow, collections::HashMap, hash::Hash};

/// See the module.
pub struct LruMap<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    generation_max: usize,
}

impl<K: Hash + Eq, V> LruMap<K, V> {
    /// Keeps at least the last `generation_max` entries, and at most twice that many.
    pub fn new(generation_max: usize) -> Self {
        LruMap { young: HashMap::new(), old: HashMap::new(), generation_max: generation_max.max(1) }
    }

    /// The value of the key.
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

    /// The value of the key, to be changed.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        self.young.get_mut(key)
    }

    /// Keeps a value.
    pub fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, value);
    }

    /// Takes a value out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let young = self.young.remove(key);
        young.or(self.old.remove(key))
    }
}
