//! Which records are duplicates. Pure, and separate from the engines because all of them answer the same way: the
//! first sequence for equal content, a conflict for other content, within a window and a number of ids.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest as _, Sha256};

use crate::accepted::Sequence;
use crate::config::MAX_DEDUPE_IDS;
use crate::error::AppendError;
use crate::record::{DedupeKey, NewRecord};

/// Half of the SHA-256 of an id: what is remembered costs the same however long the ids are, and nobody finds two ids
/// with equal halves.
type Fingerprint = [u8; 16];

/// The ids of a topic's last records.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    first: HashMap<Fingerprint, ([u8; 32], Sequence)>,
    /// In the order of their records, so that the oldest is forgotten first.
    order: VecDeque<(u64, Fingerprint)>,
}

/// What one append comes to.
pub(crate) struct Judged {
    /// The records that are new, in order.
    pub(crate) fresh: Vec<NewRecord>,
    /// For each record of the append: its sequence, and whether it is a duplicate.
    pub(crate) answers: Vec<(Sequence, bool)>,
}

impl Seen {
    /// Forgets what is older than the window, and the oldest above the number of ids. A window of zero forgets all.
    pub(crate) fn forget(&mut self, now_ms: u64, window_ms: u64) {
        while let Some((at_ms, _)) = self.order.front() {
            if self.order.len() <= MAX_DEDUPE_IDS && window_ms > 0 && at_ms.saturating_add(window_ms) >= now_ms {
                break;
            }
            if let Some((_, oldest)) = self.order.pop_front() {
                self.first.remove(&oldest);
            }
        }
    }

    /// Remembers a record that is kept.
    pub(crate) fn insert(&mut self, key: &DedupeKey, sequence: Sequence, admitted_ms: u64) {
        let fingerprint = fingerprint(&key.id);
        if self.first.insert(fingerprint, (key.digest, sequence)).is_none() {
            self.order.push_back((admitted_ms, fingerprint));
        }
    }

    /// A place to come back to if what is judged from here on is not kept.
    pub(crate) fn mark(&self) -> usize {
        self.order.len()
    }

    /// Forgets what was judged since the mark. Nothing may have been forgotten in between.
    pub(crate) fn roll_back(&mut self, mark: usize) {
        while self.order.len() > mark {
            if let Some((_, newest)) = self.order.pop_back() {
                self.first.remove(&newest);
            }
        }
    }

    /// Sorts an append into new records, which get sequences from `next` on and are remembered, and duplicates.
    ///
    /// A conflict leaves nothing remembered.
    pub(crate) fn judge(
        &mut self,
        records: Vec<NewRecord>,
        next: Sequence,
        now_ms: u64,
        remember: bool,
    ) -> Result<Judged, AppendError> {
        let mark = self.mark();
        let mut next = next;
        let mut judged =
            Judged { fresh: Vec::with_capacity(records.len()), answers: Vec::with_capacity(records.len()) };
        for (index, record) in records.into_iter().enumerate() {
            if let Some(key) = record.dedupe.as_ref().filter(|_| remember) {
                if let Some(&(digest, first)) = self.first.get(&fingerprint(&key.id)) {
                    if digest != key.digest {
                        self.roll_back(mark);
                        return Err(AppendError::Conflict { index, first });
                    }
                    judged.answers.push((first, true));
                    continue;
                }
                self.insert(key, next, now_ms);
            }
            judged.answers.push((next, false));
            judged.fresh.push(record);
            next = next.next();
        }
        Ok(judged)
    }
}

fn fingerprint(id: &str) -> Fingerprint {
    let hash: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    let mut half = Fingerprint::default();
    half.copy_from_slice(&hash[..16]);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, content: u8) -> NewRecord {
        NewRecord { dedupe: Some(DedupeKey { id: id.to_owned(), digest: [content; 32] }), ..NewRecord::default() }
    }

    /// Judges `batch` after "a" (content 1) was kept as 1 at time 1,000, with a window of 100.
    fn check(now_ms: u64, batch: &[(&str, u8)], expect: Result<&[(u64, bool)], (usize, u64)>) {
        let mut seen = Seen::default();
        seen.insert(&DedupeKey { id: "a".to_owned(), digest: [1; 32] }, Sequence::FIRST, 1_000);
        seen.forget(now_ms, 100);
        let remembered = seen.mark();
        let records = batch.iter().map(|(id, content)| record(id, *content)).collect();
        match (seen.judge(records, Sequence::new(2), now_ms, true), expect) {
            (Ok(judged), Ok(expect)) => {
                let got: Vec<_> =
                    judged.answers.iter().map(|(sequence, duplicate)| (sequence.get(), *duplicate)).collect();
                assert_eq!(got, expect, "{batch:?} at {now_ms}");
                assert_eq!(judged.fresh.len(), got.iter().filter(|(_, duplicate)| !duplicate).count());
            }
            (Err(AppendError::Conflict { index, first }), Err(expect)) => {
                assert_eq!((index, first.get()), expect, "{batch:?} at {now_ms}");
                assert_eq!(seen.mark(), remembered, "a conflict leaves nothing behind");
            }
            (got, expect) => {
                panic!("{batch:?} at {now_ms}: {:?}, expected {expect:?}", got.map(|judged| judged.answers))
            }
        }
    }

    #[test]
    fn duplicates_and_conflicts() {
        check(1_000, &[("b", 1)], Ok(&[(2, false)]));
        check(1_100, &[("a", 1)], Ok(&[(1, true)]));
        check(1_101, &[("a", 1)], Ok(&[(2, false)]));
        check(1_000, &[("b", 1), ("a", 1), ("b", 1), ("c", 1)], Ok(&[(2, false), (1, true), (2, true), (3, false)]));
        check(1_000, &[("b", 1), ("a", 2)], Err((1, 1)));
        check(1_101, &[("a", 2)], Ok(&[(2, false)]));
        check(1_000, &[("b", 1), ("b", 2)], Err((1, 2)));
    }
}
