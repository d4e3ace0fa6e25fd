//! What the disk and the log can do without a mesh around them. Programs of their own, so that they run where servers do.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::task::JoinSet;
use tokio::time::Instant;
use weft_eventlog::{EventLog, LocalLog, NewRecord, SystemClock, TopicConfig};

use crate::measure::{ROUND, Sample};
use crate::server::cpu_micros;
use crate::wire::Load;

/// Bytes of a record's body.
pub(crate) const BODY: usize = 1024;
/// Size of the file that is written round and round: it is allocated before, as segments of the log are.
const FILE: u64 = 64 << 20;

/// `writers` tasks that append one record at a time to a topic of weft-eventlog: its group commit.
pub(crate) async fn eventlog(dir: &Path, writers: usize) -> Sample {
    let log = LocalLog::open(&dir.join("log"), Arc::new(SystemClock)).await.expect("a log");
    let topic = log.topic("bench/append", TopicConfig::default()).await.expect("a topic");
    let (start, before) = (Instant::now(), cpu_micros(std::process::id()));
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let topic = topic.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < ROUND {
                let began = Instant::now();
                let record = NewRecord { body: Bytes::from(vec![b'x'; BODY]), ..NewRecord::default() };
                topic.append(vec![record]).await.expect("an append");
                latencies.push(began.elapsed());
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.into_iter().flatten().collect();
    Sample::of(Load { elapsed: start.elapsed(), latencies }, cpu_micros(std::process::id()) - before)
}

/// One thread that writes `group` records at once and calls fdatasync: what the disk gives whoever groups perfectly.
pub(crate) fn file(dir: &Path, group: usize) -> Sample {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("file")).expect("a file");
    fallocate(&file, FallocateFlags::empty(), 0, FILE).expect("space");
    let records = vec![b'x'; BODY * group];
    let (start, before) = (Instant::now(), cpu_micros(std::process::id()));
    let (mut latencies, mut at) = (Vec::new(), 0);
    while start.elapsed() < ROUND {
        let began = Instant::now();
        file.write_all_at(&records, at).expect("a write");
        file.sync_data().expect("a sync");
        at = (at + records.len() as u64) % (FILE - records.len() as u64);
        latencies.extend(std::iter::repeat_n(began.elapsed(), group));
    }
    Sample::of(Load { elapsed: start.elapsed(), latencies }, cpu_micros(std::process::id()) - before)
}
