//! What goes when a topic is full or old, and who is told.

use std::time::Duration;

use super::*;
use crate::{AppendError, DeadEvents, Sequence, Settlement, Start, Terminal, TopicConfig, WhenFull};

/// Five segments' worth at the smallest size of segments.
fn small(full: WhenFull) -> TopicConfig {
    TopicConfig { segment_bytes: 16 << 10, retention_bytes: 80 << 10, full, ..TopicConfig::default() }
}

fn big(number: u64) -> NewRecord {
    NewRecord { body: Bytes::from(vec![b'x'; 4_000]), ..numbered(number) }
}

/// Appends until the topic refuses or `most` are in.
async fn fill(topic: &dyn Topic, from: u64, most: u64) -> Result<(), AppendError> {
    for number in from..from + most {
        topic.append(vec![big(number)]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_topic_refuses_while_a_consumer_needs_its_oldest_segment() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", small(WhenFull::Refuse)).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    let refused = fill(topic.as_ref(), 0, 1_000).await;
    assert!(matches!(refused, Err(AppendError::Full { .. })), "a consumer needs what would go: {refused:?}");
    let known = topic.append(vec![big(0)]).await.unwrap();
    assert!(known[0].duplicate, "a duplicate needs no room");
    drop((topic, consumer));
    drop(log);
    // Also when the consumer has not been opened again yet.
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", small(WhenFull::Refuse)).await.unwrap();
    assert!(matches!(fill(topic.as_ref(), 5_000, 1).await, Err(AppendError::Full { .. })));
    assert_eq!(topic.bounds().first, Sequence::FIRST);
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    for lease in lease(consumer.as_ref(), 10).await {
        consumer.settle(&lease, Settlement::Done(Terminal::Delivered)).await.unwrap();
    }
    let room = async {
        while fill(topic.as_ref(), 6_000, 1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), room).await.unwrap();
    assert!(topic.bounds().first > Sequence::FIRST);
    assert_eq!(consumer.counters().expired, 0);
}

/// In virtual time, so that the retry is not due before everything else is done.
#[tokio::test(start_paused = true)]
async fn what_is_dropped_expires_and_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = LocalLog::open(dir.path(), HandClock::at(1_000_000)).await.unwrap();
    let topic = log.topic("ns/t", small(WhenFull::DropOldest)).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    fill(topic.as_ref(), 0, 4).await.unwrap();
    let held = lease(consumer.as_ref(), 3).await;
    consumer.settle(&held[0], Settlement::Done(Terminal::Delivered)).await.unwrap();
    let due_ms = held[0].accepted_ms + 1_000;
    consumer.settle(&held[1], Settlement::Retry { due_ms, cause: vec![], counted: true }).await.unwrap();
    fill(topic.as_ref(), 4, 96).await.unwrap();
    let first = topic.bounds().first.get();
    assert!(first > 4 && topic.bounds().next.get() == 101);
    assert!(topic.stats().bytes <= 96 << 10, "{:?}", topic.stats());
    let next = lease(consumer.as_ref(), 1_000).await;
    assert!(next.iter().any(|lease| lease.record.sequence.get() == first));
    // 1 is delivered, 2 waits for its retry, 3 is on lease; the rest up to the first kept is gone.
    assert_eq!(consumer.counters().expired, first - 4);
    let dead = consumer.dead(None, 9).await.unwrap();
    let range = DeadEvents::Range { first: Sequence::new(4), last: Sequence::new(first - 1) };
    assert_eq!((dead.len(), &dead[0].what, dead[0].state), (1, &range, Terminal::Expired));
    consumer.settle(&held[2], Settlement::Done(Terminal::Delivered)).await.unwrap();
    let retried = lease(consumer.as_ref(), 1_000).await;
    assert_eq!((retried[0].record.sequence.get(), retried[0].attempt), (2, 2), "a retry outlives retention");
    let counters = consumer.counters();
    drop((topic, consumer));
    log.close().await.unwrap();
    let log = open(dir.path()).await;
    log.topic("ns/t", small(WhenFull::DropOldest)).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    assert_eq!(consumer.counters(), counters);
}

/// A range that is gone goes around what is on lease, also when the log of it is read again after a kill.
#[tokio::test(start_paused = true)]
async fn what_ended_within_a_range_that_expired_keeps_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = LocalLog::open(dir.path(), HandClock::at(1_000_000)).await.unwrap();
    let topic = log.topic("ns/t", small(WhenFull::DropOldest)).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    fill(topic.as_ref(), 0, 6).await.unwrap();
    let held = lease(consumer.as_ref(), 4).await;
    // 1 and 3 are free again, around 2 and 4.
    consumer.release(&held[0]);
    consumer.release(&held[2]);
    fill(topic.as_ref(), 6, 94).await.unwrap();
    let next = lease(consumer.as_ref(), 1_000).await;
    let first = topic.bounds().first.get();
    assert!(first > 6 && next[0].record.sequence.get() == first);
    let dead = Settlement::Dead { state: Terminal::Dead, cause: vec![] };
    consumer.settle(&held[1], dead).await.unwrap();
    consumer.settle(&held[3], Settlement::Retry { due_ms: 0, cause: vec![], counted: true }).await.unwrap();
    let counters = consumer.counters();
    assert_eq!((counters.dead, counters.expired), (1, first - 1 - 2));
    drop((topic, consumer, log));
    let log = LocalLog::open(dir.path(), HandClock::at(1_000_000)).await.unwrap();
    log.topic("ns/t", small(WhenFull::DropOldest)).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    assert_eq!(consumer.counters(), counters);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_goes_by_whole_segments_but_never_the_active_one() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(1_000_000);
    let log = LocalLog::open(dir.path(), clock.clone()).await.unwrap();
    let config = TopicConfig {
        retention_age: Duration::from_secs(100),
        dedupe_window: Duration::ZERO,
        retention_bytes: 1 << 30,
        ..small(WhenFull::Refuse)
    };
    let topic = log.topic("ns/t", config).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    fill(topic.as_ref(), 0, 20).await.unwrap();
    let segments = topic.stats().segments;
    assert!(segments > 2);
    clock.set(1_100_000);
    fill(topic.as_ref(), 0, 1).await.unwrap();
    assert_eq!(topic.bounds().first, Sequence::FIRST, "just not too old");
    clock.set(1_100_001);
    fill(topic.as_ref(), 0, 1).await.unwrap();
    let first = topic.bounds().first.get();
    assert!(first > 1, "age counts even for events that are needed");
    assert!(first <= 22, "the active segment stays");
    assert_eq!(lease(consumer.as_ref(), 1).await[0].record.sequence.get(), first);
    assert_eq!(consumer.counters().expired, first - 1);
    assert_eq!(consumer.dead(None, 9).await.unwrap().len(), 1, "one entry, however few were asked for");
    assert_eq!(topic.find_by_time(1_100_001).await.unwrap().get(), 22);
}
