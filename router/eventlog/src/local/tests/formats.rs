//! Golden files: what was written in format 1 is read for ever, and today's writer writes the same bytes. To write the
//! files of a new format, run this test once with `WEFT_WRITE_GOLDEN=1`.

use std::path::PathBuf;

use super::sim::SimDisk;
use super::*;
use crate::{Counters, LogError, Sequence, Settlement, Start, Terminal, TopicConfig};

/// Golden file, and what it is below a data directory.
const FILES: [(&str, &str); 6] = [
    ("segment", "topics/ns+orders/000000000001.seg"),
    ("position", "consumers/ns+bill/position"),
    ("retries", "consumers/ns+bill/retries/000000000001.seg"),
    ("dead", "consumers/ns+bill/dead/000000000001.seg"),
    ("journal", "journals/weft+changes/entries/000000000001.seg"),
    ("checkpoint", "journals/weft+changes/checkpoint"),
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(name)
}

/// A disk with the salt of the golden files.
fn disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.world().salt = Some(0x5eed);
    disk
}

fn path(below: &str) -> PathBuf {
    Path::new("/log").join(below)
}

async fn open_at(disk: &SimDisk, ms: u64) -> Result<LocalLog, LogError> {
    LocalLog::open_with("/log".as_ref(), HandClock::at(ms), Arc::new(disk.clone())).await
}

/// One of each kind of thing.
async fn write(disk: &SimDisk) {
    let log = open_at(disk, 1_700_000_000_000).await.unwrap();
    let topic = log.topic("ns/orders", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/bill", "ns/orders", Start::Beginning).await.unwrap();
    let whole = NewRecord {
        key: Some("customer-1".into()),
        subject: "order 1".into(),
        headers: vec![("ce-type".into(), "order.created".into()), ("empty".into(), String::new())],
        ..numbered(1)
    };
    topic.append(vec![whole, numbered(2)]).await.unwrap();
    topic.append(vec![NewRecord::default()]).await.unwrap();
    topic.append(vec![numbered(4)]).await.unwrap();
    let leases = lease(consumer.as_ref(), 9).await;
    let cause = vec![("status".to_owned(), "500".to_owned())];
    consumer.settle(&leases[1], Settlement::Done(Terminal::Delivered)).await.unwrap();
    let retry = Settlement::Retry { due_ms: 1_700_000_060_000, cause: cause.clone(), counted: true };
    consumer.settle(&leases[2], retry).await.unwrap();
    consumer.settle(&leases[3], Settlement::Dead { state: Terminal::Dead, cause }).await.unwrap();
    let journal = log.journal("weft/changes").await.unwrap();
    for entry in ["one", "two", "three"] {
        journal.append(Bytes::from(entry)).await.unwrap();
    }
    let before = Sequence::new(2);
    log.close().await.unwrap();
    let log = open_at(disk, 1_700_000_000_000).await.unwrap();
    let entries = path(FILES[4].1);
    let kept = disk.get(&entries);
    log.journal("weft/changes").await.unwrap().compact(before, Bytes::from("checkpoint of one")).await.unwrap();
    log.close().await.unwrap();
    // Compaction closes the segment; the golden one is as it was while it was written.
    disk.put(&entries, &kept);
}

fn without_reserve(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn todays_writer_writes_format_1() {
    let disk = disk();
    write(&disk).await;
    for (name, below) in FILES {
        let written = disk.get(&path(below));
        let written = if below.ends_with(".seg") { without_reserve(written) } else { written };
        if std::env::var_os("WEFT_WRITE_GOLDEN").is_some() {
            std::fs::create_dir_all(golden("")).unwrap();
            std::fs::write(golden(name), &written).unwrap();
        }
        assert!(written == std::fs::read(golden(name)).unwrap(), "{name} is written otherwise than in format 1");
    }
}

/// A data directory made of the golden files.
fn restored() -> SimDisk {
    let disk = disk();
    for (name, below) in FILES {
        let mut bytes = std::fs::read(golden(name)).unwrap();
        if below.ends_with(".seg") {
            bytes.resize(bytes.len().next_multiple_of(4_096), 0);
        }
        disk.put(&path(below), &bytes);
    }
    disk
}

#[tokio::test(flavor = "multi_thread")]
async fn format_1_is_read() {
    // The retry is due.
    let log = open_at(&restored(), 1_700_000_060_000).await.unwrap();
    let topic = log.topic("ns/orders", TopicConfig::default()).await.unwrap();
    let records = topic.read(Sequence::FIRST, 9, 1 << 20).await.unwrap();
    assert_eq!((records.len(), records[0].subject.as_str(), &records[3].dedupe), (4, "order 1", &numbered(4).dedupe));
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await.unwrap();
    let counters = Counters { accepted: 4, delivered: 1, dead: 1, pending: 2, ..Counters::default() };
    assert_eq!(consumer.counters(), counters);
    assert_eq!(consumer.dead(None, 9).await.unwrap()[0].cause, [("status".to_owned(), "500".to_owned())]);
    let leases = lease(consumer.as_ref(), 9).await;
    let attempts: Vec<_> = leases.iter().map(|lease| (lease.record.sequence.get(), lease.attempt)).collect();
    assert_eq!(attempts, [(3, 2), (1, 1)]);
    let contents = log.journal("weft/changes").await.unwrap().read_all().await.unwrap();
    assert_eq!(contents.checkpoint.unwrap().bytes, "checkpoint of one");
    assert_eq!(
        contents.entries.iter().map(|entry| entry.bytes.as_ref()).collect::<Vec<_>>(),
        [b"two".as_slice(), b"three"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_format_is_refused_before_anything_is_written() {
    for (name, below, oldest, crc) in [("segment", FILES[0].1, 10, 60..64), ("position", FILES[1].1, 10, 16..20)] {
        let (disk, path) = (restored(), path(below));
        let mut bytes = disk.get(&path);
        bytes[oldest] = 2;
        let mut check = crc32c::crc32c(&bytes[..crc.start]);
        if name == "position" {
            check = crc32c::crc32c_append(check, &bytes[20..]);
        }
        bytes[crc].copy_from_slice(&check.to_le_bytes());
        disk.put(&path, &bytes);
        let refused = match open_at(&disk, 1_700_000_000_000).await {
            Ok(log) => log.topic("ns/orders", TopicConfig::default()).await.err(),
            Err(error) => Some(error),
        };
        assert!(matches!(refused, Some(LogError::NewerFormat { needs: 2, reads: 1, .. })), "{name}: {refused:?}");
        assert!(disk.get(&path) == bytes, "{name} was changed");
    }
}
