//! What is still there after the log was closed, or left without closing, and opened again.

use std::time::Duration;

use super::*;
use crate::{Counters, DeadEvents, EventState, LogError, Sequence, Settlement, Start, Terminal, TopicConfig};

/// Leaves the log as a kill would: nothing is flushed. The lock goes with the value.
fn leave(log: LocalLog) {
    drop(log);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_and_duplicates_outlive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let log = open(dir.path()).await;
        let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
        for number in round * 10..round * 10 + 10 {
            assert_eq!(append(topic.as_ref(), number).await, number + 1);
        }
        let again = topic.append(vec![numbered(0), numbered(round * 10)]).await.unwrap();
        assert_eq!(
            again.iter().map(|one| (one.accepted.sequence().get(), one.duplicate)).collect::<Vec<_>>(),
            [(1, true), (round * 10 + 1, true)]
        );
        assert_eq!(numbers(topic.as_ref()).await, (0..round * 10 + 10).collect::<Vec<_>>());
        if round == 0 { log.close().await.unwrap() } else { leave(log) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_forgotten_after_the_window_also_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(1_000_000);
    let config = TopicConfig { dedupe_window: Duration::from_secs(1), ..TopicConfig::default() };
    let check = async |now_ms, number, expect| {
        clock.set(now_ms);
        let log = LocalLog::open(dir.path(), clock.clone()).await.unwrap();
        let topic = log.topic("ns/t", config.clone()).await.unwrap();
        assert_eq!(append(topic.as_ref(), number).await, expect, "{number} at {now_ms}");
        leave(log);
    };
    check(1_000_000, 7, 1).await;
    check(1_001_000, 7, 1).await;
    check(1_001_001, 7, 2).await;
    check(1_001_500, 7, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_is_reopened_at_every_step() {
    let dir = tempfile::tempdir().unwrap();
    for closed in [false, true] {
        let (topic_name, name) = (format!("ns/t-{closed}"), format!("ns/c-{closed}"));
        let mut step = 0;
        let mut counters = Counters { accepted: 5, pending: 5, ..Counters::default() };
        loop {
            let log = open(dir.path()).await;
            let topic = log.topic(&topic_name, TopicConfig::default()).await.unwrap();
            let consumer = log.consumer(&name, &topic_name, Start::Beginning).await.unwrap();
            if step == 0 {
                for number in 0..5 {
                    append(topic.as_ref(), number).await;
                }
            }
            assert_eq!(consumer.counters(), counters, "before step {step}");
            counters.pending = counters.pending.saturating_sub(u64::from(step != 2));
            let settlement = match step {
                0 => Settlement::Done(Terminal::Delivered),
                1 => Settlement::Dead { state: Terminal::Dead, cause: vec![("why".into(), "no".into())] },
                2 => Settlement::Retry { due_ms: 0, cause: vec![("why".into(), "busy".into())], counted: true },
                3 => Settlement::Done(Terminal::Filtered),
                4 => Settlement::Dead { state: Terminal::Denied, cause: vec![] },
                5 => Settlement::Done(Terminal::Delivered),
                _ => break,
            };
            let leases = lease(consumer.as_ref(), 9).await;
            let wanted = leases.iter().min_by_key(|lease| (lease.attempt, lease.record.sequence)).unwrap();
            consumer.settle(wanted, settlement).await.unwrap();
            match step {
                0 | 5 => counters.delivered += 1,
                1 => counters.dead += 1,
                3 => counters.filtered += 1,
                4 => counters.denied += 1,
                _ => {}
            }
            if step == 5 {
                assert_eq!(
                    (wanted.attempt, wanted.last_cause.as_slice()),
                    (2, [("why".into(), "busy".into())].as_slice())
                );
            }
            assert_eq!(consumer.counters(), counters, "after step {step}");
            written(&log, &name).await;
            step += 1;
            if closed { log.close().await.unwrap() } else { leave(log) }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_does_not_pass_what_was_on_lease_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    topic.append((1..=3).map(numbered).collect()).await.unwrap();
    let leases = lease(consumer.as_ref(), 3).await;
    consumer.settle(&leases[2], Settlement::Retry { due_ms: 0, cause: vec![], counted: true }).await.unwrap();
    log.close().await.unwrap();
    let log = open(dir.path()).await;
    log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let leases = lease(consumer.as_ref(), 1).await;
        seen.extend(leases.iter().map(|lease| (lease.record.sequence.get(), lease.attempt)));
    }
    assert_eq!(seen, [(3, 2), (1, 1), (2, 1)]);
}

/// Waits until the settlements that are done are on disk.
pub(super) async fn written(log: &LocalLog, name: &str) {
    let consumer = log.rooms.lock().await.consumers.get(name).unwrap().clone();
    tokio::time::timeout(Duration::from_secs(20), async {
        while !consumer.is_written() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_far_into_a_long_history_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    for round in 0..6_u64 {
        topic.append((0..1_000).map(|number| numbered(round * 1_000 + number)).collect()).await.unwrap();
    }
    for _ in 0..6 {
        for lease in lease(consumer.as_ref(), 1_000).await {
            // Every other one, so that the settled ranges are many.
            if lease.record.sequence.get() % 2 == 0 {
                consumer.settle(&lease, Settlement::Done(Terminal::Delivered)).await.unwrap();
            }
        }
    }
    let counters = Counters { accepted: 6_000, delivered: 3_000, pending: 3_000, ..Counters::default() };
    written(&log, "ns/c").await;
    drop(consumer);
    leave(log);
    let log = open(dir.path()).await;
    log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    assert_eq!(consumer.counters(), counters);
    assert!(lease(consumer.as_ref(), 9_000).await.iter().all(|lease| lease.record.sequence.get() % 2 == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_due_time_from_a_wrong_clock_is_brought_near() {
    let dir = tempfile::tempdir().unwrap();
    let clock = HandClock::at(4_000_000_000_000);
    let log = LocalLog::open(dir.path(), clock.clone()).await.unwrap();
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    append(topic.as_ref(), 1).await;
    let leases = lease(consumer.as_ref(), 1).await;
    let due_ms = clock.now_ms() + 1_000;
    consumer.settle(&leases[0], Settlement::Retry { due_ms, cause: vec![], counted: true }).await.unwrap();
    log.close().await.unwrap();
    clock.set(1_000_000);
    let log = LocalLog::open(dir.path(), clock.clone()).await.unwrap();
    log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.rooms.lock().await.consumers.len();
    assert_eq!(consumer, 0);
    log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    let consumer = log.rooms.lock().await.consumers.get("ns/c").unwrap().clone();
    let in_ms = consumer.wake().saturating_duration_since(tokio::time::Instant::now());
    assert!(in_ms <= crate::MAX_RETRY_DELAY, "{in_ms:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_moves_no_retry() {
    let dir = tempfile::tempdir().unwrap();
    let now_ms = 1_700_000_000_000;
    let clock = HandClock::at(now_ms);
    let log = LocalLog::open(dir.path(), clock.clone()).await.unwrap();
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    let begun = tokio::time::Instant::now();
    topic.append(vec![numbered(1), numbered(2)]).await.unwrap();
    for failed in lease(consumer.as_ref(), 2).await {
        let due_ms = now_ms + 10_000 * failed.record.sequence.get();
        consumer.settle(&failed, Settlement::Retry { due_ms, cause: vec![], counted: true }).await.unwrap();
    }
    clock.set(now_ms + 3_600_000);
    append(topic.as_ref(), 3).await;
    assert_eq!(lease(consumer.as_ref(), 9).await[0].record.sequence.get(), 3, "the clock went forward");
    let check = async |sequence, ms: u128| {
        let leases = tokio::time::timeout(Duration::from_secs(60), consumer.lease(9)).await.unwrap().unwrap();
        let after = begun.elapsed().as_millis();
        assert_eq!((leases.len(), leases[0].record.sequence.get()), (1, sequence));
        assert!((ms..ms + 100).contains(&after), "after {after} ms");
    };
    check(1, 10_000).await;
    clock.set(now_ms - 10 * 365 * 24 * 3_600_000);
    check(2, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let second = LocalLog::open(dir.path(), Arc::new(SystemClock)).await.err();
    assert!(matches!(&second, Some(LogError::Locked { dir: named }) if named == dir.path()), "{second:?}");
    log.close().await.unwrap();
    open(dir.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_nobody_opened_can_be_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).await;
    let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
    let consumer = log.consumer("ns/c", "ns/t", Start::End).await.unwrap();
    append(topic.as_ref(), 1).await;
    let leases = lease(consumer.as_ref(), 1).await;
    let dead = Settlement::Dead { state: Terminal::Expired, cause: vec![] };
    consumer.settle(&leases[0], dead).await.unwrap();
    let kept = consumer.dead(None, 9).await.unwrap();
    assert_eq!(kept[0].what, DeadEvents::One(leases[0].record.clone()));
    assert_eq!(consumer.state_of(Sequence::FIRST), Some(EventState::Ended));
    append(topic.as_ref(), 2).await;
    leave(log);
    let log = open(dir.path()).await;
    log.topic("ns/t", TopicConfig::default()).await.unwrap();
    assert_eq!(log.consumers().await.unwrap(), ["ns/c"]);
    assert!(matches!(log.delete_topic("ns/t").await, Err(LogError::InUse { .. })));
    let counters = log.delete_consumer("ns/c").await.unwrap();
    assert_eq!(counters, Counters { accepted: 2, expired: 1, cancelled: 1, ..Counters::default() });
    assert!(log.delete_topic("ns/t").await.unwrap());
    assert_eq!(std::fs::read_dir(dir.path().join("trash")).unwrap().count(), 0);
}
