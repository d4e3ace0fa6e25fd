//! Tests of the engine on disk, by what they are about.

mod crash;
mod damage;
mod defects;
mod faults;
mod flips;
mod formats;
mod full;
mod kill;
mod model;
mod restart;
mod retention;
mod sim;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::{Clock, Consumer, DedupeKey, EventLog, Lease, LocalLog, NewRecord, SystemClock, Topic, conformance};

/// A clock that stands where it is put.
#[derive(Default)]
struct HandClock(AtomicU64);

impl HandClock {
    fn at(ms: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(ms)))
    }

    fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A runtime in which time passes only while nothing else can happen, and everything happens in the same order each time.
fn virtual_time() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().start_paused(true).max_blocking_threads(1).build().unwrap()
}

async fn open(dir: &Path) -> LocalLog {
    LocalLog::open(dir, Arc::new(SystemClock)).await.unwrap()
}

/// A record that is told by its number.
fn numbered(number: u64) -> NewRecord {
    let dedupe = Some(DedupeKey { id: format!("id-{number}"), digest: [1; 32] });
    NewRecord { dedupe, body: Bytes::from(number.to_string()), ..NewRecord::default() }
}

async fn append(topic: &dyn Topic, number: u64) -> u64 {
    topic.append(vec![numbered(number)]).await.unwrap()[0].accepted.sequence().get()
}

/// The numbers of all records that the topic serves.
async fn numbers(topic: &dyn Topic) -> Vec<u64> {
    let records = topic.read(topic.bounds().first, usize::MAX, usize::MAX).await.unwrap();
    records.iter().map(|record| String::from_utf8_lossy(&record.body).parse().unwrap()).collect()
}

async fn lease(consumer: &dyn Consumer, max: usize) -> Vec<Lease> {
    tokio::time::timeout(std::time::Duration::from_secs(20), consumer.lease(max)).await.unwrap().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_on_disk_keeps_the_contract() {
    let home = tempfile::tempdir().unwrap();
    let count = AtomicU64::new(0);
    let make = || async {
        let dir = home.path().join(count.fetch_add(1, Ordering::Relaxed).to_string());
        Arc::new(open(&dir).await) as Arc<dyn EventLog>
    };
    conformance::check(make).await.unwrap();
}

#[tokio::test]
async fn the_engine_in_memory_keeps_the_contract() {
    conformance::check(|| async { Arc::new(crate::MemoryLog::default()) as Arc<dyn EventLog> }).await.unwrap();
}
