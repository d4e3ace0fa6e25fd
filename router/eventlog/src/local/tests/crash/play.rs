//! Plays a script on the simulated disk, in virtual time, and writes down what callers were told.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;

use super::super::sim::{Pause, SimDisk, crash::Crash};
use super::super::{HandClock, virtual_time};
use super::promise::{Promise, body, record};
use super::script::{How, Script, Step};
use crate::lock::lock;
use crate::{
    Appended, Consumer, EventLog, Journal, Lease, LocalLog, LogError, Sequence, Settlement, Start, Terminal, Topic,
    TopicConfig, WhenFull,
};

/// Where the log is.
pub(super) const DIR: &str = "/srv/weft/log";
pub(super) const TOPIC: &str = "ns/t";
pub(super) const CONSUMER: &str = "ns/c";
pub(super) const JOURNAL: &str = "weft/j";
/// The time of day, all the time.
pub(super) const NOW_MS: u64 = 1_700_000_000_000;
/// Tasks wait for each other at most so deep.
const DEPTH: usize = 24;

/// What came of a script.
pub(super) struct Played {
    pub(super) pictures: Vec<Crash>,
    pub(super) promises: Vec<Promise>,
}

/// What callers were told so far.
#[derive(Clone, Default)]
struct Promises {
    all: Arc<Mutex<Vec<Promise>>>,
    count: Arc<AtomicUsize>,
}

impl Promises {
    fn push(&self, promise: Promise) {
        let mut all = lock(&self.all);
        all.push(promise);
        self.count.store(all.len(), Ordering::SeqCst);
    }
}

struct Player<'a> {
    script: &'a Script,
    disk: SimDisk,
    promises: Promises,
    log: Arc<LocalLog>,
    open: Option<Open>,
    held: Vec<Lease>,
    numbers: u64,
}

#[derive(Clone)]
pub(super) struct Open {
    pub(super) topic: Arc<dyn Topic>,
    pub(super) consumer: Arc<dyn Consumer>,
    pub(super) journal: Arc<dyn Journal>,
}

pub(super) fn config(script: &Script) -> TopicConfig {
    let durability = if script.relaxed { crate::Durability::Relaxed } else { crate::Durability::Strict };
    let retention_bytes = if script.small { 24 << 10 } else { 1 << 30 };
    TopicConfig {
        durability,
        segment_bytes: 16 << 10,
        retention_bytes,
        full: WhenFull::Refuse,
        ..TopicConfig::default()
    }
}

pub(super) async fn open(disk: &SimDisk) -> Result<LocalLog, LogError> {
    LocalLog::open_with(DIR.as_ref(), HandClock::at(NOW_MS), Arc::new(disk.clone())).await
}

pub(super) async fn open_all(log: &LocalLog, script: &Script) -> Result<Open, LogError> {
    let topic = log.topic(TOPIC, config(script)).await?;
    let consumer = log.consumer(CONSUMER, TOPIC, Start::Beginning).await?;
    let journal = log.journal(JOURNAL).await?;
    Ok(Open { topic, consumer, journal })
}

pub(super) fn play(script: &Script) -> Played {
    virtual_time().block_on(async {
        let (disk, promises) = (SimDisk::default(), Promises::default());
        let (pauses, listener) = mpsc::channel(1);
        let listening = tokio::spawn(listen(listener));
        disk.record(promises.count.clone(), Some(pauses));
        let log = Arc::new(open(&disk).await.unwrap());
        let mut player = Player { script, disk, promises, log, open: None, held: Vec::new(), numbers: 0 };
        for step in &script.steps {
            player.step(step).await;
        }
        let pictures = player.disk.recorded();
        listening.abort();
        let promises = lock(&player.promises.all).clone();
        Played { pictures, promises }
    })
}

/// Before a sync takes effect everything that can happen happens, so that a promise made too early is noticed.
async fn listen(mut pauses: mpsc::Receiver<Pause>) {
    while let Some(pause) = pauses.recv().await {
        for _ in 0..DEPTH {
            yield_now().await;
        }
        // The disk waits for it.
        let _waits = pause.send(());
    }
}

impl Player<'_> {
    /// Everything open. A sync that was to fail may fail here, then another time it does not; and space may lack.
    async fn all(&mut self) -> Open {
        if let Some(open) = &self.open {
            return open.clone();
        }
        for _ in 0..3 {
            match open_all(&self.log, self.script).await {
                Ok(open) => {
                    self.open = Some(open.clone());
                    return open;
                }
                Err(error) if error.is_out_of_space() => self.disk.faults(|faults| faults.space = None),
                Err(_) => {}
            }
        }
        panic!("the log cannot be opened, without a reason: {:#?}", self.script);
    }

    async fn reopen(&mut self) {
        self.open = None;
        self.held.clear();
        self.promises.push(Promise::Gone);
        self.disk = self.disk.reborn();
        let mut opened = open(&self.disk).await;
        if let Err(error) = &opened {
            if error.is_out_of_space() {
                self.disk.faults(|faults| faults.space = None);
            }
            opened = open(&self.disk).await;
        }
        self.log = Arc::new(opened.unwrap());
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Append(batches) => self.append(batches).await,
            Step::Settle(max, how) => self.settle(*max, *how).await,
            Step::Hold(max) => {
                let leases = self.lease(*max).await;
                self.held.extend(leases);
            }
            Step::Wait(ms) => tokio::time::sleep(Duration::from_millis(*ms)).await,
            Step::Journal(sizes) => self.write_journal(sizes).await,
            Step::Compact => self.compact().await,
            Step::Delete => self.delete().await,
            Step::FailSync(after, forgets) => self.disk.faults(|faults| {
                (faults.sync_fails_in, faults.forgets) = (Some(after + 1), *forgets);
            }),
            Step::Room(free) => {
                let taken = self.disk.taken();
                self.disk.faults(|faults| faults.space = free.map(|free| taken + free));
            }
            Step::Close => {
                self.all().await;
                if self.log.close().await.is_ok() {
                    self.promises.push(Promise::Closed);
                }
                self.reopen().await;
            }
            Step::Kill => {
                self.all().await;
                self.reopen().await;
            }
        }
    }

    async fn append(&mut self, batches: &[(usize, usize)]) {
        let topic = self.all().await.topic;
        let mut appends = Vec::new();
        for (records, bytes) in batches {
            let numbers: Vec<(u64, usize)> = (0..*records as u64).map(|at| (self.numbers + at, *bytes)).collect();
            self.numbers += *records as u64;
            let batch = numbers.iter().map(|(number, bytes)| record(*number, *bytes)).collect();
            self.promises.push(Promise::Asked(numbers.clone()));
            let (topic, promises) = (topic.clone(), self.promises.clone());
            appends.push(tokio::spawn(async move {
                for (appended, (number, _)) in topic.append(batch).await.unwrap_or_default().iter().zip(numbers) {
                    let Appended { accepted, .. } = appended;
                    let (sequence, durable) = (accepted.sequence().get(), accepted.is_durable());
                    promises.push(Promise::Kept { number, sequence, durable });
                }
            }));
        }
        for append in appends {
            append.await.unwrap();
        }
    }

    /// Up to `max` leases; none if there is nothing.
    async fn lease(&mut self, max: usize) -> Vec<Lease> {
        let consumer = self.all().await.consumer;
        if consumer.counters().pending == self.held.len() as u64 {
            return Vec::new();
        }
        // What is pending may turn out to be lost.
        let leases = tokio::time::timeout(Duration::from_secs(1), consumer.lease(max)).await;
        let leases = leases.map(Result::unwrap_or_default).unwrap_or_default();
        for lease in &leases {
            self.promises.push(Promise::Leased(lease.record.sequence.get(), lease.attempt));
        }
        leases
    }

    async fn settle(&mut self, max: usize, how: How) {
        for lease in self.lease(max).await {
            let consumer = self.all().await.consumer;
            let (sequence, next) = (lease.record.sequence.get(), lease.attempt + 1);
            let (settlement, promise) = match how {
                How::Released => {
                    consumer.release(&lease);
                    continue;
                }
                How::Delivered => (Settlement::Done(Terminal::Delivered), Promise::Done(sequence)),
                How::Dead => (Settlement::Dead { state: Terminal::Dead, cause: vec![] }, Promise::Dead(sequence)),
                How::Retry => {
                    (Settlement::Retry { due_ms: 0, cause: vec![], counted: true }, Promise::Retry(sequence, next))
                }
            };
            let retry = (how == How::Retry).then_some(next);
            self.promises.push(Promise::Settling(sequence, retry));
            let promises = self.promises.clone();
            let settled = tokio::spawn(async move {
                let settled = consumer.settle(&lease, settlement).await;
                if settled.is_ok() {
                    promises.push(promise);
                }
                settled.err().map(|_| lease)
            });
            // After a failure the event is still on lease.
            self.held.extend(settled.await.unwrap());
        }
    }

    async fn write_journal(&mut self, sizes: &[usize]) {
        let journal = self.all().await.journal;
        let mut appends = Vec::new();
        for size in sizes {
            let (number, size) = (self.numbers, *size);
            self.numbers += 1;
            self.promises.push(Promise::JournalAsked(number, size));
            let (journal, promises) = (journal.clone(), self.promises.clone());
            appends.push(tokio::spawn(async move {
                if let Ok(sequence) = journal.append(body(number, size)).await {
                    promises.push(Promise::JournalKept(sequence.get().get(), number, size));
                }
            }));
        }
        for append in appends {
            append.await.unwrap();
        }
    }

    async fn compact(&mut self) {
        let journal = self.all().await.journal;
        let last = lock(&self.promises.all).iter().rev().find_map(|promise| match promise {
            Promise::JournalKept(sequence, ..) => Some(*sequence),
            _ => None,
        });
        if let Some(before) = last {
            self.promises.push(Promise::Compacting(before, before, 300));
            if journal.compact(Sequence::new(before), body(before, 300)).await.is_ok() {
                self.promises.push(Promise::Compacted(before));
            }
        }
    }

    async fn delete(&mut self) {
        self.all().await;
        self.open = None;
        self.held.clear();
        self.promises.push(Promise::Deleting);
        self.log.delete_consumer(CONSUMER).await.unwrap();
        self.log.delete_topic(TOPIC).await.unwrap();
        self.promises.push(Promise::Deleted);
    }
}
