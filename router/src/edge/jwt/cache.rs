//! Tokens that were verified: a caller shows the same one with each request, and a signature costs more than everything
//! else on the path together. Bounded in entries and bytes; in two generations, so that what is used stays and what is not
//! falls out, without a list to keep in order.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, PoisonError, RwLock};

use super::jws::TOKEN_MAX;

/// Tokens kept by a node, at most.
const ENTRIES_MAX: usize = 10_000;

/// Bytes of the tokens kept, at most. What is read out of a token takes about as much again.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// Parts with a lock each, so that requests seldom wait for one another.
const SHARDS: usize = 16;

/// Verified tokens by what was shown: the token itself, where it stood, and which Issuers counted.
#[derive(Debug)]
pub(super) struct Cache<V> {
    /// Keyed at random, so that nobody can choose tokens that share a bucket.
    hasher: RandomState,
    shards: [RwLock<Shard<V>>; SHARDS],
}

/// What was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Showing<'a> {
    /// Which Issuers counted.
    pub(super) view: u64,
    /// Where the token stood.
    pub(super) place: usize,
    /// The token, compared byte for byte.
    pub(super) token: &'a [u8],
}

#[derive(Debug)]
struct Shard<V> {
    young: Generation<V>,
    old: Generation<V>,
}

#[derive(Debug)]
struct Generation<V> {
    entries: HashMap<u64, Entry<V>>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Entry<V> {
    view: u64,
    place: usize,
    token: Arc<[u8]>,
    value: V,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        let shards =
            std::array::from_fn(|_| RwLock::new(Shard { young: Generation::empty(), old: Generation::empty() }));
        Self { hasher: RandomState::new(), shards }
    }
}

impl<V: Clone> Cache<V> {
    /// What was kept for this.
    pub(super) fn get(&self, showing: Showing<'_>) -> Option<V> {
        let (hash, shard) = self.place(showing);
        let found = {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = shard.young.get(hash, showing) {
                return Some(entry.value.clone());
            }
            shard.old.get(hash, showing).cloned()?
        };
        let value = found.value.clone();
        shard.write().unwrap_or_else(PoisonError::into_inner).insert(hash, found);
        Some(value)
    }

    /// Keeps `value` for this, in place of what was there.
    pub(super) fn insert(&self, showing: Showing<'_>, value: V) {
        let (hash, shard) = self.place(showing);
        let Showing { view, place, token } = showing;
        let entry = Entry { view, place, token: token.into(), value };
        shard.write().unwrap_or_else(PoisonError::into_inner).insert(hash, entry);
    }

    /// Forgets everything for which `keep` does not hold.
    pub(super) fn retain(&self, keep: impl Fn(u64, &V) -> bool) {
        for shard in &self.shards {
            let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
            let Shard { young, old } = &mut *shard;
            for generation in [young, old] {
                generation.entries.retain(|_, entry| keep(entry.view, &entry.value));
                generation.bytes = generation.entries.values().map(|entry| entry.token.len()).sum();
            }
        }
    }

    fn place(&self, showing: Showing<'_>) -> (u64, &RwLock<Shard<V>>) {
        let hash = self.hasher.hash_one(showing);
        // The map looks at other bits of its own hash of this.
        (hash, &self.shards[hash as usize % SHARDS])
    }

    #[cfg(test)]
    fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|shard| {
            let shard = shard.read().expect("a lock");
            let entries = shard.young.entries.len() + shard.old.entries.len();
            (entries, shard.young.bytes + shard.old.bytes)
        });
        sizes.fold((0, 0), |(entries, bytes), (more, bigger)| (entries + more, bytes + bigger))
    }
}

impl<V: Clone> Shard<V> {
    /// Puts an entry among the young. When they are half of what may be kept, they become the old ones, and the old ones,
    /// of which nobody has asked for any since, are forgotten.
    fn insert(&mut self, hash: u64, entry: Entry<V>) {
        let full = self.young.entries.len() >= ENTRIES_MAX / SHARDS / 2
            || self.young.bytes + entry.token.len() > BYTES_MAX / SHARDS / 2;
        if full {
            self.old = std::mem::replace(&mut self.young, Generation::empty());
        }
        self.old.remove(hash);
        self.young.remove(hash);
        self.young.bytes += entry.token.len();
        self.young.entries.insert(hash, entry);
    }
}

impl<V> Generation<V> {
    fn empty() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }

    /// Two tokens with one hash push each other out; neither is taken for the other.
    fn get(&self, hash: u64, showing: Showing<'_>) -> Option<&Entry<V>> {
        let Showing { view, place, token } = showing;
        self.entries.get(&hash).filter(|entry| entry.view == view && entry.place == place && *entry.token == *token)
    }

    fn remove(&mut self, hash: u64) {
        if let Some(entry) = self.entries.remove(&hash) {
            self.bytes -= entry.token.len();
        }
    }
}

// A generation holds at least one token of any length.
const _: () = assert!(BYTES_MAX / SHARDS / 2 >= TOKEN_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(token: &[u8]) -> Showing<'_> {
        Showing { view: 1, place: 0, token }
    }

    #[test]
    fn what_was_shown_is_found_and_nothing_else() {
        let cache = Cache::default();
        let kept = Showing { view: 1, place: 0, token: b"a.b.c" };
        cache.insert(kept, "kept");
        assert_eq!(cache.get(kept), Some("kept"));
        for other in [
            Showing { view: 2, ..kept },
            Showing { place: 1, ..kept },
            Showing { token: b"a.b.d", ..kept },
            Showing { token: b"a.b.", ..kept },
            Showing { token: b"", ..kept },
        ] {
            assert_eq!(cache.get(other), None, "{other:?}");
        }
        cache.insert(kept, "kept instead");
        assert_eq!(cache.get(kept), Some("kept instead"));
        assert_eq!(cache.size(), (1, 5));
    }

    #[test]
    fn it_is_bounded_in_entries() {
        let cache = Cache::default();
        for number in 0..5 * ENTRIES_MAX {
            cache.insert(showing(number.to_string().as_bytes()), number);
            assert!(cache.size().0 <= ENTRIES_MAX || number % 1_000 != 0);
        }
        assert!((ENTRIES_MAX / 2 - 1_000..=ENTRIES_MAX).contains(&cache.size().0), "{:?}", cache.size());
    }

    #[test]
    fn it_is_bounded_in_bytes() {
        let cache = Cache::default();
        for number in 0..3 * BYTES_MAX / TOKEN_MAX {
            cache.insert(showing(format!("{number:0TOKEN_MAX$}").as_bytes()), number);
        }
        assert!((BYTES_MAX / 4..=BYTES_MAX).contains(&cache.size().1), "{:?}", cache.size());
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let cache = Cache::default();
        cache.insert(showing(b"used"), 0);
        cache.insert(showing(b"unused"), 0);
        for number in 0..3 * ENTRIES_MAX {
            cache.insert(showing(number.to_string().as_bytes()), number);
            assert_eq!(cache.get(showing(b"used")), Some(0), "after {number}");
        }
        assert_eq!(cache.get(showing(b"unused")), None);
    }

    #[test]
    fn what_shall_be_forgotten_is() {
        let cache = Cache::default();
        for view in 0..4 {
            cache.insert(Showing { view, place: 0, token: b"token" }, view);
        }
        cache.retain(|view, _| view >= 2);
        let found: Vec<_> = (0..4).filter_map(|view| cache.get(Showing { view, place: 0, token: b"token" })).collect();
        assert_eq!(found, [2, 3]);
        assert_eq!(cache.size(), (2, 10));
    }
}
