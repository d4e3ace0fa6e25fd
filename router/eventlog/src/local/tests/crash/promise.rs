//! What callers were told during a history, in order, and what follows from it: what must be there after the power went,
//! and what may be.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{DedupeKey, NewRecord};

/// Something asked for or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Promise {
    /// An append of records with these numbers and sizes was begun.
    Asked(Vec<(u64, usize)>),
    /// The record with this number is at this sequence; durable or not.
    Kept {
        number: u64,
        sequence: u64,
        durable: bool,
    },
    /// Handed out, as this attempt.
    Leased(u64, u32),
    /// A settlement was begun: the event may be over, or come as this attempt.
    Settling(u64, Option<u32>),
    /// `Dead` was answered.
    Dead(u64),
    /// `Retry` was answered; the event comes as this attempt.
    Retry(u64, u32),
    /// `Done` was answered.
    Done(u64),
    /// The log was closed: what was done is written down.
    Closed,
    /// The process is gone, and what was done and not written down with it.
    Gone,
    /// An entry of the journal with this number and size was asked for.
    JournalAsked(u64, usize),
    /// It is at this sequence.
    JournalKept(u64, u64, usize),
    /// Everything before the sequence was to be replaced by a checkpoint with this number and size.
    Compacting(u64, u64, usize),
    Compacted(u64),
    Deleting,
    Deleted,
}

/// What is known of one event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// It must be there.
    pub(super) number: Option<u64>,
    /// Someone began to end it.
    pub(super) may_be_over: bool,
    pub(super) must_be_dead: bool,
    /// Ended, and written down for certain.
    pub(super) must_be_over: bool,
    pub(super) done: bool,
    /// The least attempt it comes as.
    pub(super) attempt: u32,
    pub(super) may_be_dead: bool,
}

/// What follows from all promises.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    /// Batches that were asked for, in order.
    pub(super) batches: Vec<Vec<(u64, usize)>>,
    /// By sequence.
    pub(super) events: BTreeMap<u64, Known>,
    pub(super) journal_asked: BTreeSet<Bytes>,
    pub(super) journal: BTreeMap<u64, Bytes>,
    /// Checkpoints that may be there: what they stand for.
    pub(super) checkpoints: BTreeMap<u64, Bytes>,
    pub(super) compacted: u64,
    /// The topic is being deleted: it may be there or not.
    pub(super) deleting: bool,
}

impl Account {
    pub(super) fn of(promises: &[Promise]) -> Self {
        let mut account = Self::default();
        promises.iter().for_each(|promise| account.take(promise));
        account
    }

    fn take(&mut self, promise: &Promise) {
        match promise.clone() {
            Promise::Asked(batch) => self.batches.push(batch),
            Promise::Kept { number, sequence, durable } => {
                let event = self.events.entry(sequence).or_default();
                event.number = durable.then_some(number).or(event.number);
            }
            Promise::Leased(sequence, attempt) => {
                let event = self.events.entry(sequence).or_default();
                // Whatever was handed out was durable.
                event.attempt = event.attempt.max(attempt);
            }
            Promise::Settling(sequence, retry) => {
                let event = self.events.entry(sequence).or_default();
                event.may_be_over |= retry.is_none();
                event.may_be_dead |= retry.is_none();
            }
            Promise::Dead(sequence) => {
                let event = self.events.entry(sequence).or_default();
                (event.must_be_dead, event.must_be_over) = (true, true);
            }
            Promise::Retry(sequence, attempt) => self.events.entry(sequence).or_default().attempt = attempt,
            Promise::Done(sequence) => {
                let event = self.events.entry(sequence).or_default();
                (event.done, event.may_be_over) = (true, true);
            }
            Promise::Closed => self.events.values_mut().for_each(|event| event.must_be_over |= event.done),
            Promise::Gone => self.events.values_mut().for_each(|event| event.done = false),
            Promise::JournalAsked(number, bytes) => drop(self.journal_asked.insert(body(number, bytes))),
            Promise::JournalKept(sequence, number, bytes) => drop(self.journal.insert(sequence, body(number, bytes))),
            Promise::Compacting(before, number, bytes) => drop(self.checkpoints.insert(before, body(number, bytes))),
            Promise::Compacted(before) => self.compacted = before,
            Promise::Deleting => self.deleting = true,
            Promise::Deleted => {
                let journal = (self.journal_asked.clone(), self.journal.clone(), self.checkpoints.clone());
                let compacted = self.compacted;
                *self = Self::default();
                (self.journal_asked, self.journal, self.checkpoints) = journal;
                self.compacted = compacted;
            }
        }
    }
}

/// A record whose content follows from its number.
pub(super) fn record(number: u64, bytes: usize) -> NewRecord {
    let dedupe = Some(DedupeKey { id: format!("id-{number}"), digest: [1; 32] });
    NewRecord { dedupe, body: body(number, bytes), ..NewRecord::default() }
}

/// The number, then bytes that no other record has.
pub(super) fn body(number: u64, bytes: usize) -> Bytes {
    let text = format!("{number}:");
    let mut state = number + 1;
    let filler = std::iter::repeat_with(move || super::script::chance(&mut state).to_le_bytes()).flatten();
    text.into_bytes().into_iter().chain(filler.take(bytes)).collect()
}

/// The number at the beginning of a body.
pub(super) fn number_of(body: &[u8]) -> Option<u64> {
    let end = body.iter().position(|byte| *byte == b':')?;
    std::str::from_utf8(&body[..end]).ok()?.parse().ok()
}
