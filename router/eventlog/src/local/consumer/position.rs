//! The position file: the whole account of a consumer at one moment, and from where in its three logs to read on. Pure;
//! the bytes around it are in `whole.rs`.
//!
//! ```text
//! u16 length and consumer name, u16 length and topic name
//! u64 start, u64 floor
//! 6 x u64  ended: delivered, filtered, denied, expired, dead, cancelled
//! 3 x u64  read on from: settled, retries, dead
//! u32 number of passed ranges above the floor, each u64 first, u64 until
//! u32 number of retries, each u64 sequence, u32 attempt, u64 due ms, u64 first failure ms, u64 location
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::local::fields::{Fields, Put as _};
use crate::progress::{Progress, Ranges, Retry, delay};
use crate::{Counters, Terminal};

/// What a position file is.
pub(in crate::local) const MAGIC: [u8; 8] = *b"weftpos\0";

/// Where to read on in the logs of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::local) struct Marks {
    pub(super) settled: u64,
    pub(super) retries: u64,
    pub(super) dead: u64,
}

impl Marks {
    /// The beginning of all three.
    pub(super) const BEGINNING: Self = Self { settled: 1, retries: 1, dead: 1 };
}

/// A consumer as written down.
pub(in crate::local) struct Position {
    pub(in crate::local) consumer: String,
    pub(in crate::local) topic: String,
    pub(super) marks: Marks,
    pub(in crate::local) progress: Progress,
}

impl Position {
    pub(super) fn encode(consumer: &str, topic: &str, marks: Marks, progress: &Progress) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_short(consumer);
        out.put_short(topic);
        out.put_u64(progress.start);
        out.put_u64(progress.floor);
        for state in Terminal::ALL {
            out.put_u64(progress.ended.of(state));
        }
        for mark in [marks.settled, marks.retries, marks.dead] {
            out.put_u64(mark);
        }
        out.put_u32(u32::try_from(progress.passed.len()).unwrap_or(u32::MAX));
        for (first, until) in progress.passed.iter() {
            out.put_u64(first);
            out.put_u64(until);
        }
        out.put_u32(u32::try_from(progress.retries.len()).unwrap_or(u32::MAX));
        for (sequence, retry) in &progress.retries {
            out.put_u64(*sequence);
            out.put_u32(retry.attempt);
            out.put_u64(retry.due_ms);
            out.put_u64(retry.first_failure_ms);
            out.put_u64(retry.location);
        }
        out
    }

    /// `None` if the content is not a position. Retries become ready as far from `now` on the monotonic clock as they
    /// are due from `now_ms`, at most `MAX_RETRY_DELAY`.
    pub(in crate::local) fn decode(content: Bytes, now_ms: u64, now: u64) -> Option<Self> {
        let mut fields = Fields::new(content);
        let (consumer, topic) = (fields.short()?, fields.short()?);
        let (start, floor) = (fields.u64()?, fields.u64()?);
        let mut ended = Counters::default();
        for state in Terminal::ALL {
            ended.count(state, fields.u64()?);
        }
        let marks = Marks { settled: fields.u64()?, retries: fields.u64()?, dead: fields.u64()? };
        let mut passed = Ranges::default();
        for _ in 0..fields.u32()? {
            passed.insert(fields.u64()?, fields.u64()?);
        }
        let mut retries = BTreeMap::new();
        for _ in 0..fields.u32()? {
            let (sequence, attempt, due_ms) = (fields.u64()?, fields.u32()?, fields.u64()?);
            let (first_failure_ms, location) = (fields.u64()?, fields.u64()?);
            let ready_at = now.saturating_add(delay(due_ms, now_ms));
            retries.insert(sequence, Retry { attempt, due_ms, ready_at, first_failure_ms, location });
        }
        let progress = Progress::restore(start, floor, passed, ended, retries);
        fields.is_empty().then_some(Self { consumer, topic, marks, progress })
    }
}
