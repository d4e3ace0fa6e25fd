//! Recovers a disk and compares it with what had been promised.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;

use super::super::sim::{SimDisk, crash::Crash};
use super::super::virtual_time;
use super::play::{Open, open, open_all};
use super::promise::{Account, Known, Promise, body, number_of, record};
use super::script::{Script, Step};
use crate::{AppendError, DeadEvents, JournalContents, NewRecord, Record, Sequence};

/// The number of the record that is appended after each recovery.
const PROBE: u64 = 1 << 40;
/// One of so many recovered logs is left as by a kill and opened again.
const REOPEN_ONE_OF: u32 = 8;

/// Recoveries from one picture.
pub(super) struct Recovery<'a> {
    script: &'a Script,
    promises: &'a [Promise],
    account: Account,
    /// The sizes of the records asked for, and in which batch each was.
    asked: BTreeMap<u64, (usize, usize)>,
}

thread_local! {
    /// A runtime, and how often it was used: it is replaced before what old logs left behind adds up.
    static RUNTIME: RefCell<(Option<tokio::runtime::Runtime>, u32)> = const { RefCell::new((None, 0)) };
}

type Outcome<T = ()> = Result<T, String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn done<T, E: Debug>(what: &str, result: Result<T, E>) -> Outcome<T> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

impl<'a> Recovery<'a> {
    pub(super) fn new(script: &'a Script, promises: &'a [Promise]) -> Self {
        let account = Account::of(promises);
        let batches = account.batches.iter().enumerate();
        let asked = batches.flat_map(|(at, batch)| batch.iter().map(move |(number, size)| (*number, (*size, at))));
        Self { script, promises, asked: asked.collect(), account }
    }

    pub(super) fn promises(&self) -> &[Promise] {
        self.promises
    }

    /// Recovers; the pictures of it if they are wanted.
    pub(super) fn run(&self, disk: SimDisk, pictures: bool) -> Outcome<Vec<Crash>> {
        if pictures {
            disk.record(Arc::new(AtomicUsize::new(0)), None);
        }
        RUNTIME.with_borrow_mut(|(kept, used)| {
            *used += 1;
            if *used % 512 == 0 {
                *kept = None;
            }
            let again = *used % REOPEN_ONE_OF == 0;
            kept.get_or_insert_with(virtual_time).block_on(self.recover(&disk, again))
        })?;
        Ok(if pictures { disk.recorded() } else { Vec::new() })
    }

    async fn recover(&self, disk: &SimDisk, again: bool) -> Outcome {
        let records = self.look(disk).await?;
        if again {
            let after = self.look(&disk.reborn()).await?;
            // Appending may have made room.
            let first = after.first().filter(|_| self.script.small).map_or(Sequence::FIRST, |record| record.sequence);
            let mut kept = records.iter().filter(|record| record.sequence >= first);
            ensure(kept.all(|record| after.contains(record)), || "a record went at the next opening".to_owned())?;
            ensure(self.script.small || after.len() > records.len(), || {
                "the record appended after recovery is lost".to_owned()
            })?;
        }
        Ok(())
    }

    /// Opens everything, compares, and appends; what the topic had held.
    async fn look(&self, disk: &SimDisk) -> Outcome<Vec<Record>> {
        let log = done("the log cannot be opened", open(disk).await)?;
        let open = done("something cannot be opened", open_all(&log, self.script).await)?;
        let records = done("cannot read", open.topic.read(Sequence::FIRST, usize::MAX, usize::MAX).await)?;
        let numbers = self.check_records(&records)?;
        self.check_kept(&open, &numbers)?;
        self.check_consumer(&open, &records).await?;
        let journal = done("cannot read the journal", open.journal.read_all().await)?;
        self.check_journal(&journal)?;
        self.write_on(&open, &numbers).await?;
        Ok(records)
    }

    /// Only what was asked for is there, unchanged, and of each batch all or nothing. The number at each sequence.
    fn check_records(&self, records: &[Record]) -> Outcome<BTreeMap<u64, u64>> {
        let mut numbers = BTreeMap::new();
        let mut batches: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
        for record in records {
            let (sequence, number) = (record.sequence.get(), number_of(&record.body));
            let number = number.ok_or_else(|| format!("record {sequence} is none of ours: {record:?}"))?;
            if number != PROBE {
                let (size, batch) = *self.asked.get(&number).ok_or_else(|| format!("nobody appended {number}"))?;
                ensure(record.body == body(number, size), || format!("record {sequence} has changed"))?;
                batches.entry(batch).or_default().push(sequence);
            }
            numbers.insert(sequence, number);
        }
        ensure(numbers.len() == records.len(), || "a sequence is there twice".to_owned())?;
        for (batch, sequences) in batches {
            let whole = sequences.windows(2).all(|pair| pair[0] + 1 == pair[1])
                && sequences.len() == self.account.batches[batch].len();
            ensure(whole, || format!("of batch {batch} only {sequences:?} are there"))?;
        }
        Ok(numbers)
    }

    /// What was answered as durable is there, unless nobody needs it and there was little room.
    fn check_kept(&self, open: &Open, numbers: &BTreeMap<u64, u64>) -> Outcome {
        let first = open.topic.bounds().first.get();
        for (sequence, known) in self.must() {
            let dropped = self.script.small && *sequence < first && (known.may_be_over || known.attempt > 1);
            let there = numbers.get(sequence).copied();
            ensure(dropped || there == known.number, || {
                format!("{:?} was acknowledged at {sequence}, where {there:?} is", known.number)
            })?;
        }
        let damaged = open.topic.damaged();
        let harmless =
            |step: &Step| !matches!(step, Step::FailSync(..)) && !matches!(step, Step::Append(many) if many.len() > 1);
        let calm = !self.script.relaxed && self.script.steps.iter().all(harmless);
        ensure(!calm || damaged.is_empty(), || format!("{damaged:?} are called damaged, and nothing is"))
    }

    /// The events that a topic must have.
    fn must(&self) -> impl Iterator<Item = (&u64, &Known)> {
        let events = self.account.events.iter().filter(|(_, known)| known.number.is_some());
        events.filter(|_| !self.account.deleting)
    }

    async fn check_consumer(&self, open: &Open, records: &[Record]) -> Outcome {
        let dead = done("cannot read the dead log", open.consumer.dead(None, usize::MAX).await)?;
        let mut buried = BTreeSet::new();
        for dead in dead {
            if let DeadEvents::One(record) = dead.what {
                let sequence = record.sequence.get();
                ensure(buried.insert(sequence), || format!("{sequence} is dead twice"))?;
            }
        }
        let before = open.consumer.counters();
        ensure(before.accepted == before.ended() + before.pending, || format!("the books do not balance: {before:?}"))?;
        let leased = self.lease_all(open).await?;
        if self.account.deleting {
            return Ok(());
        }
        for (sequence, known) in &self.account.events {
            let attempt = leased.get(sequence).map(|(attempt, _)| *attempt);
            let must = known.number.is_some() && !known.may_be_over;
            ensure(!must || attempt.is_some(), || format!("{sequence} is neither handed out nor over"))?;
            ensure(!known.must_be_dead || buried.contains(sequence), || format!("{sequence} is not in the dead log"))?;
            ensure(!known.must_be_over || attempt.is_none(), || format!("{sequence} was over and is handed out"))?;
            ensure(attempt.is_none_or(|attempt| attempt >= known.attempt), || {
                format!("{sequence} is handed out as attempt {attempt:?}, after {}", known.attempt)
            })?;
            ensure(known.may_be_dead || !buried.contains(sequence), || format!("nobody buried {sequence}"))?;
        }
        let wrong = records
            .iter()
            .find(|record| leased.get(&record.sequence.get()).is_some_and(|(_, other)| other != &record.body));
        ensure(wrong.is_none(), || format!("{wrong:?} is handed out with other content"))
    }

    /// Everything that is pending: attempt and body, by sequence.
    async fn lease_all(&self, open: &Open) -> Outcome<BTreeMap<u64, (u32, Bytes)>> {
        let mut leased = BTreeMap::new();
        while open.consumer.counters().pending > leased.len() as u64 {
            let lease = tokio::time::timeout(Duration::from_secs(1), open.consumer.lease(1_000)).await;
            // What is damaged ends instead.
            let pending = open.consumer.counters().pending;
            let Ok(lease) = lease else {
                let all = pending == leased.len() as u64;
                ensure(all, || format!("of {pending} pending events only {} are handed out", leased.len()))?;
                break;
            };
            for lease in done("cannot lease", lease)? {
                let sequence = lease.record.sequence.get();
                let twice = leased.insert(sequence, (lease.attempt, lease.record.body));
                ensure(twice.is_none(), || format!("{sequence} is handed out twice"))?;
            }
        }
        Ok(leased)
    }

    fn check_journal(&self, journal: &JournalContents) -> Outcome {
        let before = journal.checkpoint.as_ref().map_or(1, |checkpoint| checkpoint.before.get());
        let known = self.account.checkpoints.get(&before);
        ensure(before >= self.account.compacted, || format!("the checkpoint before {before} is old"))?;
        let checkpoint = journal.checkpoint.as_ref().map(|checkpoint| &checkpoint.bytes);
        ensure(before == 1 || checkpoint == known, || format!("the checkpoint before {before} has changed"))?;
        let entries: BTreeMap<u64, &Bytes> =
            journal.entries.iter().map(|entry| (entry.sequence.get(), &entry.bytes)).collect();
        for (sequence, entry) in self.account.journal.range(before..) {
            let there = entries.get(sequence) == Some(&entry);
            ensure(there, || format!("entry {sequence} of the journal was acknowledged and is not there"))?;
        }
        let ours = |entry: &&&Bytes| self.account.journal_asked.contains(**entry) || number_of(entry) == Some(PROBE);
        let strange = entries.values().find(|entry| !ours(entry));
        ensure(strange.is_none(), || format!("nobody appended {strange:?} to the journal"))
    }

    /// A record that was acknowledged is known as a duplicate, and a new one gets a new place.
    async fn write_on(&self, open: &Open, numbers: &BTreeMap<u64, u64>) -> Outcome {
        let last = self.must().filter(|(sequence, _)| numbers.contains_key(sequence)).last();
        if let Some((sequence, number)) = last.and_then(|(sequence, known)| Some((*sequence, known.number?))) {
            let again = open.topic.append(vec![record(number, self.asked[&number].0)]).await;
            let again = done("cannot append a duplicate", again)?;
            let known = again[0].duplicate && again[0].accepted.sequence().get() == sequence;
            ensure(known, || format!("{number} was acknowledged at {sequence} and is no duplicate: {again:?}"))?;
        }
        let next = open.topic.bounds().next;
        let probe = NewRecord { body: body(PROBE, 40), ..NewRecord::default() };
        let appended = match open.topic.append(vec![probe]).await {
            Err(AppendError::Full { .. }) if self.script.small => return Ok(()),
            appended => done("cannot append", appended)?,
        };
        let (got, sequence) = (appended[0].accepted, appended[0].accepted.sequence());
        ensure(got.is_durable() || self.script.relaxed, || "a strict topic answers as a relaxed one".to_owned())?;
        let highest = self.must().map(|(sequence, _)| *sequence).max().unwrap_or(0);
        ensure(sequence >= next && sequence.get() > highest, || format!("{sequence} is given again"))?;
        done("cannot append to the journal", open.journal.append(body(PROBE, 40)).await).map(drop)
    }
}
