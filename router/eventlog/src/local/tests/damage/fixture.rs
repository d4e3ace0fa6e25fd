//! A data directory with one of each kind of thing, and what must be true of it however it was damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::sim::SimDisk;
use super::super::{HandClock, numbered, virtual_time};
use crate::{
    DeadEvents, EventLog as _, LocalLog, LogError, NewRecord, Record, Sequence, Settlement, Start, Terminal,
    TopicConfig,
};

pub(super) const DIR: &str = "/srv/log";
const NOW_MS: u64 = 1_700_000_000_000;
/// Records of each batch.
const BATCHES: [u64; 10] = [1, 3, 2, 1, 4, 1, 3, 2, 2, 1];
/// What became of some events; the others wait.
const DELIVERED: [u64; 3] = [1, 3, 4];
const DEAD: [u64; 2] = [2, 5];
const RETRIED: [u64; 3] = [6, 7, 20];

pub(super) struct Fixture {
    pub(super) disk: SimDisk,
    records: Vec<Record>,
}

/// What is not there any more, all of it named.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Loss {
    /// Events that the topic does not serve.
    pub(super) events: Vec<u64>,
    /// Events that ended and are handed out again.
    pub(super) again: Vec<u64>,
    /// Dead events that the dead log does not have.
    pub(super) dead: Vec<u64>,
    /// The journal says that it is damaged.
    pub(super) journal: bool,
}

impl Loss {
    pub(super) fn is_at_most_one_batch(&self) -> bool {
        let mut first = 1;
        let one = self.events.is_empty()
            || BATCHES.iter().any(|count| {
                let batch = first..first + count;
                first += count;
                self.events.iter().all(|sequence| batch.contains(sequence))
            });
        // The settlements of a moment are one bundle too.
        one && (self.again.len() <= DELIVERED.len()) && self.dead.len() <= 1
    }
}

fn config() -> TopicConfig {
    TopicConfig { segment_bytes: 16 << 10, ..TopicConfig::default() }
}

fn record(number: u64, bytes: u64) -> NewRecord {
    let filler: Vec<u8> = (0..bytes).map(|at| (number * 13 + at * 3) as u8).collect();
    NewRecord { body: Bytes::from(filler), ..numbered(number) }
}

async fn open(disk: &SimDisk) -> Result<LocalLog, LogError> {
    LocalLog::open_with(DIR.as_ref(), HandClock::at(NOW_MS), Arc::new(disk.reborn())).await
}

fn done<T, E: Debug>(what: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error:?}"))
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Fixture {
    /// Records of so many bytes; the log was closed, or left as by a kill.
    pub(super) fn new(bytes: u64, closed: bool) -> Self {
        let disk = SimDisk::default();
        let records = virtual_time().block_on(async {
            let log = open(&disk).await.unwrap();
            let topic = log.topic("ns/t", config()).await.unwrap();
            let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
            let mut number = 0;
            for count in BATCHES {
                topic
                    .append((number + 1..=number + count).map(|number| record(number, bytes)).collect())
                    .await
                    .unwrap();
                number += count;
            }
            for lease in consumer.lease(1_000).await.unwrap() {
                let sequence = lease.record.sequence.get();
                if DELIVERED.contains(&sequence) {
                    consumer.settle(&lease, Settlement::Done(Terminal::Delivered)).await.unwrap();
                } else if DEAD.contains(&sequence) {
                    let dead = Settlement::Dead { state: Terminal::Dead, cause: vec![("why".into(), "no".into())] };
                    consumer.settle(&lease, dead).await.unwrap();
                } else if RETRIED.contains(&sequence) {
                    consumer
                        .settle(&lease, Settlement::Retry { due_ms: 0, cause: vec![], counted: true })
                        .await
                        .unwrap();
                }
            }
            // The settled log is written, the mark too.
            tokio::time::sleep(Duration::from_secs(2)).await;
            let journal = log.journal("weft/j").await.unwrap();
            for entry in ["one", "two", "three"] {
                journal.append(Bytes::from(entry)).await.unwrap();
            }
            journal.compact(Sequence::new(2), Bytes::from("one")).await.unwrap();
            journal.append(Bytes::from("four")).await.unwrap();
            tokio::time::sleep(Duration::from_secs(2)).await;
            let records = topic.read(Sequence::FIRST, usize::MAX, usize::MAX).await.unwrap();
            if closed {
                log.close().await.unwrap();
            }
            records
        });
        disk.settle();
        Self { disk, records }
    }

    /// Opens everything on a damaged copy; what is lost, unless something is wrong.
    pub(super) fn check(&self, disk: &SimDisk, twice: bool) -> Result<Loss, String> {
        thread_local!(static RUNTIME: tokio::runtime::Runtime = virtual_time());
        RUNTIME.with(|runtime| {
            runtime.block_on(async {
                let loss = self.look(disk).await?;
                if twice {
                    let again = self.look(disk).await?;
                    ensure(loss.events == again.events, || format!("{loss:?}, and then {again:?}"))?;
                }
                // What tends the logs that are gone notices that they are.
                tokio::time::advance(Duration::from_secs(1)).await;
                Ok(loss)
            })
        })
    }

    async fn look(&self, disk: &SimDisk) -> Result<Loss, String> {
        let log = done("cannot open the log", open(disk).await)?;
        let topic = done("cannot open the topic", log.topic("ns/t", config()).await)?;
        let consumer = done("cannot open the consumer", log.consumer("ns/c", "ns/t", Start::Beginning).await)?;
        let served = done("cannot read", topic.read(Sequence::FIRST, usize::MAX, usize::MAX).await)?;
        let strange = served.iter().find(|record| !self.records.contains(record));
        ensure(strange.is_none(), || format!("{strange:?} is served"))?;
        ensure(served.is_sorted_by_key(|record| record.sequence), || "records are out of order".to_owned())?;
        let served: BTreeSet<u64> = served.iter().map(|record| record.sequence.get()).collect();
        let all = 1..=self.records.len() as u64;
        let events: Vec<u64> = all.clone().filter(|sequence| !served.contains(sequence)).collect();
        let ranges = topic.damaged().into_iter().flat_map(|range| range.first.get()..=range.last.get());
        let first = topic.bounds().first.get();
        let named: BTreeSet<u64> = ranges.chain(1..first).collect();
        let unnamed = events.iter().find(|sequence| !named.contains(sequence));
        ensure(unnamed.is_none(), || {
            format!("{events:?} are lost, named are {:?} and what is before {first}", topic.damaged())
        })?;
        ensure(named.iter().all(|sequence| events.contains(sequence)), || {
            format!("{named:?} are named, {events:?} lost")
        })?;
        let next = topic.bounds().next.get();
        ensure(next > *all.end(), || format!("the sequence {next} will be given again"))?;
        let mut loss = Loss { events, ..Loss::default() };
        self.check_consumer(consumer.as_ref(), &mut loss).await?;
        self.check_journal(&log, &mut loss).await?;
        Ok(loss)
    }

    async fn check_consumer(&self, consumer: &dyn crate::Consumer, loss: &mut Loss) -> Result<(), String> {
        let mut leased = BTreeMap::new();
        while consumer.counters().pending > leased.len() as u64 {
            let lease = tokio::time::timeout(Duration::from_secs(1), consumer.lease(1_000)).await;
            // What is lost ends instead.
            let nothing = consumer.counters().pending == leased.len() as u64;
            let Ok(lease) = lease else {
                ensure(nothing, || format!("only {:?} are handed out", leased.keys()))?;
                break;
            };
            for lease in done("cannot lease", lease)? {
                let sequence = lease.record.sequence.get();
                let known = self.records.contains(&lease.record);
                ensure(known, || format!("{:?} is handed out", lease.record))?;
                ensure(leased.insert(sequence, lease.attempt).is_none(), || format!("{sequence} is handed out twice"))?;
            }
        }
        let counters = consumer.counters();
        ensure(counters.accepted == counters.ended() + counters.pending, || format!("{counters:?}"))?;
        let dead = done("cannot read the dead log", consumer.dead(None, 1_000).await)?;
        let dead: BTreeSet<u64> = dead
            .into_iter()
            .filter_map(|dead| match dead.what {
                DeadEvents::One(record) => Some(record.sequence.get()),
                DeadEvents::Range { .. } => None,
            })
            .collect();
        for record in &self.records {
            let sequence = record.sequence.get();
            let over = DELIVERED.contains(&sequence) || DEAD.contains(&sequence);
            let (lost, handed) = (loss.events.contains(&sequence), leased.contains_key(&sequence));
            if over && handed {
                loss.again.push(sequence);
            }
            ensure(over || handed || lost, || format!("{sequence} is neither handed out nor lost"))?;
            ensure(!(lost && handed) || RETRIED.contains(&sequence), || format!("{sequence} is lost and handed out"))?;
            if DEAD.contains(&sequence) && !dead.contains(&sequence) && !handed {
                loss.dead.push(sequence);
            }
        }
        Ok(())
    }

    async fn check_journal(&self, log: &LocalLog, loss: &mut Loss) -> Result<(), String> {
        let journal = done("cannot open the journal", log.journal("weft/j").await)?;
        match journal.read_all().await {
            Err(LogError::Corrupt { .. }) => loss.journal = true,
            contents => {
                let contents = done("cannot read the journal", contents)?;
                let checkpoint = contents.checkpoint.map(|checkpoint| (checkpoint.before.get(), checkpoint.bytes));
                let entries: Vec<&[u8]> = contents.entries.iter().map(|entry| entry.bytes.as_ref()).collect();
                let whole =
                    checkpoint == Some((2, Bytes::from("one"))) && entries == [b"two".as_slice(), b"three", b"four"];
                ensure(whole, || format!("the journal has {checkpoint:?} and {entries:?}"))?;
            }
        }
        Ok(())
    }
}
