//! A map of so many keys at most: beyond that the one that came first is forgotten.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// See the module.
#[derive(Debug)]
pub struct BoundedMap<K, V, const MAX: usize> {
    values: HashMap<K, V>,
    /// The keys as they came, each once.
    order: VecDeque<K>,
}

impl<K, V, const MAX: usize> Default for BoundedMap<K, V, MAX> {
    fn default() -> Self {
        BoundedMap { values: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V, const MAX: usize> BoundedMap<K, V, MAX> {
    /// Remembers a value. A key that is there gets it, and stays as old as it is.
    pub fn remember(&mut self, key: K, value: V) {
        if self.values.insert(key.clone(), value).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.values.remove(&oldest);
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.values.get(key)
    }

    /// The number of keys.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        assert_eq!(self.order.len(), self.values.len());
        self.values.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_came_first_is_forgotten() {
        let mut map = BoundedMap::<_, _, 2>::default();
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            map.remember(key, value);
        }
        assert_eq!([1, 2, 3].map(|key| map.get(&key).copied()), [None, Some('b'), Some('d')]);
        assert_eq!(map.len(), 2);
    }
}
