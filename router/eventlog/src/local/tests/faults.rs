//! Torn tails and failing disks: what is lost, what is not, and what is said.

use std::path::PathBuf;

use super::sim::SimDisk;
use super::*;
use crate::local::log::SegmentLog;
use crate::local::record::{FRAME_HEADER, Found};
use crate::local::segment::file_name;
use crate::local::writer::{Draft, Layout, Writer};
use crate::{AppendError, LogError, SequenceRange, Start, TopicConfig};

const LAYOUT: Layout = Layout { segment_bytes: 64 << 10, reserve: 8 << 10, marked: true };

fn open_log(disk: &SimDisk) -> (Arc<SegmentLog>, Vec<Vec<u8>>) {
    let mut payloads = Vec::new();
    let visit = &mut |_: &Found, payload: &[u8]| payloads.push(payload.to_vec());
    let log = SegmentLog::open(Arc::new(disk.clone()), "/log".into(), "test".into(), visit).unwrap();
    (Arc::new(log), payloads)
}

/// A log of one segment with one frame for each payload.
fn written(payloads: &[&[u8]]) -> (SimDisk, Writer) {
    let disk = SimDisk::default();
    let mut writer = Writer::new(open_log(&disk).0, LAYOUT, 1_000).unwrap();
    for payload in payloads {
        writer.commit(&[Draft { count: 1, payload: payload.to_vec() }], 1_000, true).unwrap();
    }
    (disk, writer)
}

fn segment() -> PathBuf {
    Path::new("/log").join(file_name(1))
}

/// Where the last frame of a log that ends with the payload "the last one" begins and ends.
fn last_frame(disk: &SimDisk) -> (usize, usize) {
    let end = open_log(disk).0.last().unwrap().extent(|extent| extent.end);
    let end = usize::try_from(end).unwrap();
    (end - (FRAME_HEADER + 16), end)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_nothing_else() {
    let (disk, _) = written(&[b"first", b"second", b"the last one"]);
    let (frame, end) = last_frame(&disk);
    let whole = disk.get(&segment());
    for cut in frame..end - 4 {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        disk.put(&segment(), &torn);
        let (log, payloads) = open_log(&disk);
        assert_eq!((log.next(), log.lost()), (3, 0), "cut at {cut}");
        assert_eq!(payloads, [b"first".to_vec(), b"second".to_vec()]);
        let mut writer = Writer::new(log, LAYOUT, 1_000).unwrap();
        writer.commit(&[Draft { count: 1, payload: b"x".to_vec() }], 1_000, true).unwrap();
        assert_eq!(open_log(&disk).1, [b"first".to_vec(), b"second".to_vec(), b"x".to_vec()], "cut at {cut}");
    }
}

/// The same bytes, but the mark says that the last record was acknowledged.
#[test]
fn an_end_that_was_acknowledged_is_damage_and_is_not_cut() {
    let (disk, mut writer) = written(&[b"first", b"second", b"the last one"]);
    writer.close().unwrap();
    let (frame, end) = last_frame(&disk);
    let whole = disk.get(&segment());
    let mark = disk.get("/log/mark".as_ref());
    for cut in frame..end - 4 {
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        disk.put(&segment(), &torn);
        let (log, payloads) = open_log(&disk);
        assert_eq!((log.next(), log.damaged()), (4, vec![(3, 4)]), "cut at {cut}");
        assert_eq!(payloads, [b"first".to_vec(), b"second".to_vec()]);
        assert!(disk.get(&segment()) == torn, "cut at {cut}: what is left stays for whoever can repair it");
        let mut writer = Writer::new(log, LAYOUT, 1_000).unwrap();
        writer.commit(&[Draft { count: 1, payload: b"x".to_vec() }], 1_000, true).unwrap();
        drop(writer);
        let (log, payloads) = open_log(&disk);
        assert_eq!((log.next(), log.damaged()), (5, vec![(3, 4)]), "cut at {cut}");
        assert_eq!(payloads, [b"first".to_vec(), b"second".to_vec(), b"x".to_vec()], "cut at {cut}");
        crate::Storage::remove(&disk, &Path::new("/log").join(file_name(2))).unwrap();
        disk.put("/log/mark".as_ref(), &mark);
    }
}

async fn open_on(disk: &SimDisk) -> LocalLog {
    LocalLog::open_with("/log".as_ref(), Arc::new(SystemClock), Arc::new(disk.reborn())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_record_is_skipped_named_and_expires() {
    for online in [false, true] {
        let disk = SimDisk::default();
        let mut log = open_on(&disk).await;
        let mut topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
        let mut consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
        for number in [101, 102, 103] {
            append(topic.as_ref(), number).await;
        }
        let path = Path::new("/log/topics/ns+t").join(file_name(1));
        let at = disk.get(&path).windows(3).rposition(|window| window == b"102").unwrap();
        disk.flip(&path, at as u64 * 8);
        if !online {
            drop((consumer, topic, log));
            log = open_on(&disk).await;
            topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
            consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
        }
        let leases = lease(consumer.as_ref(), 10).await;
        let sequences: Vec<u64> = leases.iter().map(|lease| lease.record.sequence.get()).collect();
        assert_eq!(sequences, [1, 3], "online: {online}");
        assert_eq!(consumer.counters().expired, 1);
        let second = crate::Sequence::new(2);
        assert_eq!(topic.damaged(), [SequenceRange { first: second, last: second }]);
        assert_eq!(topic.stats().quarantined, 1);
        log.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_waiters_of_a_failed_sync_are_told_and_the_log_goes_on() {
    let disk = SimDisk::default();
    let log = open_on(&disk).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    for number in 0..3 {
        append(topic.as_ref(), number).await;
    }
    disk.faults(|faults| faults.syncs_fail = true);
    let waiters: Vec<_> = (100..132)
        .map(|number| {
            let topic = topic.clone();
            tokio::spawn(async move { topic.append(vec![numbered(number)]).await })
        })
        .collect();
    for waiter in waiters {
        let told = waiter.await.unwrap();
        assert!(matches!(told, Err(AppendError::Failed(LogError::Io { .. }))), "{told:?}");
    }
    assert_eq!(numbers(topic.as_ref()).await, [0, 1, 2], "reading goes on, and nothing in doubt is served");
    let known = topic.append(vec![numbered(1)]).await.unwrap();
    assert!(known[0].duplicate && known[0].accepted.is_durable());
    disk.faults(|faults| faults.syncs_fail = false);
    assert_eq!(append(topic.as_ref(), 100).await, 4, "what failed is not a duplicate");
    assert!(topic.stats().failed_commits > 0);
    drop((topic, log));
    let log = open_on(&disk).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    assert_eq!(numbers(topic.as_ref()).await, [0, 1, 2, 100]);
    assert_eq!(topic.stats().quarantined, 0);
}

/// A sync that fails once and then says it succeeds (the kernel has dropped what it could not write) is not asked twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_failed_is_not_tried_again() {
    for forgets in [false, true] {
        let disk = SimDisk::default();
        let log = open_on(&disk).await;
        let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
        append(topic.as_ref(), 0).await;
        disk.faults(|faults| (faults.sync_fails_in, faults.forgets) = (Some(1), forgets));
        let told = topic.append(vec![numbered(1)]).await;
        assert!(matches!(told, Err(AppendError::Failed(LogError::Io { .. }))), "{told:?}");
        assert_eq!(append(topic.as_ref(), 2).await, 2);
        let segments = disk.files().iter().filter(|path| path.starts_with("/log/topics")).count();
        assert_eq!(segments, 3, "two segments and the mark: what was in doubt is not written again");
        assert_eq!(numbers(topic.as_ref()).await, [0, 2]);
        log.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_lost_its_end_does_not_use_sequences_again() {
    let disk = SimDisk::default();
    let log = open_on(&disk).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    append(topic.as_ref(), 0).await;
    let folder = Path::new("/log/topics/ns+t");
    let files = [folder.join(file_name(1)), folder.join("mark")];
    let backup = files.each_ref().map(|path| disk.get(path));
    append(topic.as_ref(), 1).await;
    for lease in lease(consumer.as_ref(), 9).await {
        consumer.settle(&lease, crate::Settlement::Done(crate::Terminal::Delivered)).await.unwrap();
    }
    drop((topic, consumer));
    log.close().await.unwrap();
    for (path, bytes) in files.iter().zip(backup) {
        disk.put(path, &bytes);
    }
    let log = open_on(&disk).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    assert_eq!(append(topic.as_ref(), 2).await, 3);
    assert_eq!(lease(consumer.as_ref(), 9).await[0].record.body, "2", "a new event is not taken for a settled one");
}
