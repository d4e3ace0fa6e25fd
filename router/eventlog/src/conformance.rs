//! What every engine must do, as one suite: the contract of `lib.rs` in code. An engine's tests call [`check`] with a
//! way to make an empty log. Separate from the engines' own tests, which are about how they keep things.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::{
    AppendError, Consumer, Counters, DeadEvents, DedupeKey, Durability, EventLog, EventState, Lease, LogError,
    NewRecord, Sequence, Settlement, Start, Terminal, Topic, TopicConfig,
};

type Outcome = Result<(), Box<dyn Error>>;

/// Longer than any healthy engine needs for one step.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the suite; each part gets a log of its own.
///
/// # Errors
/// The first step that failed.
///
/// # Panics
/// When an engine breaks the contract.
pub async fn check<F: Future<Output = Arc<dyn EventLog>>>(make: impl Fn() -> F) -> Outcome {
    appends_and_reads(make().await.as_ref()).await?;
    duplicates(make().await.as_ref()).await?;
    refusals(make().await.as_ref()).await?;
    starts(make().await.as_ref()).await?;
    settlements(make().await.as_ref()).await?;
    order(make().await.as_ref()).await?;
    sorting(make().await).await?;
    handles(make().await.as_ref()).await?;
    waiting(make().await).await?;
    deletions(make().await.as_ref()).await?;
    journals(make().await.as_ref()).await?;
    closing(make().await.as_ref()).await
}

/// A record whose content is its id.
fn record(id: &str) -> NewRecord {
    let dedupe = Some(DedupeKey { id: id.to_owned(), digest: [7; 32] });
    let headers = vec![("type".to_owned(), "test".to_owned()), ("type".to_owned(), String::new())];
    NewRecord { dedupe, key: Some("k".to_owned()), subject: "s".to_owned(), headers, body: Bytes::from(id.to_owned()) }
}

fn records(ids: &[&str]) -> Vec<NewRecord> {
    ids.iter().map(|id| record(id)).collect()
}

async fn append(topic: &dyn Topic, ids: &[&str]) -> Result<Vec<(u64, bool)>, AppendError> {
    let appended = topic.append(records(ids)).await?;
    Ok(appended.into_iter().map(|one| (one.accepted.sequence().get(), one.duplicate)).collect())
}

async fn lease(consumer: &dyn Consumer, max: usize) -> Result<Vec<Lease>, Box<dyn Error>> {
    Ok(tokio::time::timeout(PATIENCE, consumer.lease(max)).await??)
}

fn bodies(leases: &[Lease]) -> Vec<&[u8]> {
    leases.iter().map(|lease| lease.record.body.as_ref()).collect()
}

async fn appends_and_reads(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let seen = topic.watch();
    assert_eq!((topic.bounds().first, topic.bounds().next), (Sequence::FIRST, Sequence::FIRST));
    assert_eq!(append(topic.as_ref(), &[]).await?, []);
    assert_eq!(append(topic.as_ref(), &["a"]).await?, [(1, false)]);
    assert_eq!(append(topic.as_ref(), &["b", "c", "d"]).await?, [(2, false), (3, false), (4, false)]);
    assert_eq!((topic.bounds().next.get(), seen.borrow().get()), (5, 5));
    let kept = topic.read(Sequence::FIRST, 10, 1 << 20).await?;
    let expected: Vec<_> = (1..).zip(["a", "b", "c", "d"]).collect();
    assert_eq!(kept.len(), expected.len());
    for (kept, (sequence, id)) in kept.iter().zip(expected) {
        let admitted_ms = kept.admitted_ms;
        assert_eq!(*kept, record(id).kept(Sequence::new(sequence), admitted_ms));
    }
    let read = async |from, max_records, max_bytes| {
        let read = topic.read(Sequence::new(from), max_records, max_bytes).await?;
        Ok::<_, LogError>(read.iter().map(|record| record.sequence.get()).collect::<Vec<_>>())
    };
    assert_eq!(read(0, 2, 100).await?, [1, 2]);
    assert_eq!(read(3, 100, 1).await?, [3]);
    assert_eq!(read(3, 100, 2).await?, [3, 4]);
    assert_eq!(read(5, 100, 100).await?, [0_u64; 0]);
    assert_eq!(topic.find_by_time(0).await?, Sequence::FIRST);
    assert_eq!(topic.find_by_time(u64::MAX).await?.get(), 5);
    assert_eq!(topic.stats().appended, 4);
    let again =
        log.topic("ns/orders", TopicConfig { durability: Durability::Relaxed, ..TopicConfig::default() }).await?;
    assert_eq!(again.bounds(), topic.bounds(), "opening again gives the same topic");
    let strict = log.topic("ns/strict", TopicConfig::default()).await?.append(records(&["a"])).await?;
    let relaxed = again.append(records(&["e"])).await?;
    assert_eq!((strict[0].accepted.is_durable(), relaxed[0].accepted.is_durable()), (true, false));
    Ok(())
}

async fn duplicates(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    assert_eq!(append(topic.as_ref(), &["a", "b", "a"]).await?, [(1, false), (2, false), (1, true)]);
    assert_eq!(append(topic.as_ref(), &["c", "b"]).await?, [(3, false), (2, true)]);
    let mut other = record("a");
    if let Some(key) = other.dedupe.as_mut() {
        key.digest = [8; 32];
    }
    let refused = topic.append(vec![record("d"), other]).await;
    assert!(matches!(refused, Err(AppendError::Conflict { index: 1, first }) if first.get() == 1), "{refused:?}");
    assert_eq!(append(topic.as_ref(), &["d"]).await?, [(4, false)], "nothing of a refused batch is stored");
    let (one, two) = tokio::join!(append(topic.as_ref(), &["e"]), append(topic.as_ref(), &["e"]));
    let mut both = [one?, two?].concat();
    both.sort_unstable();
    assert_eq!(both, [(5, false), (5, true)]);
    let unnamed = NewRecord { dedupe: None, ..record("f") };
    let appended = topic.append(vec![unnamed.clone(), unnamed]).await?;
    assert!(appended.iter().all(|one| !one.duplicate));
    assert_eq!(topic.stats().deduplicated, 3);
    Ok(())
}

async fn refusals(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let large = NewRecord { body: Bytes::from(vec![0; crate::MAX_RECORD_BYTES + 1]), ..NewRecord::default() };
    assert!(matches!(topic.append(vec![large]).await, Err(AppendError::TooLarge { .. })));
    let many = vec![NewRecord::default(); crate::MAX_BATCH_RECORDS + 1];
    assert!(matches!(topic.append(many).await, Err(AppendError::TooLarge { .. })));
    let largest = NewRecord { body: Bytes::from(vec![1; crate::MAX_RECORD_BYTES]), ..NewRecord::default() };
    topic.append(vec![largest.clone(), NewRecord::default()]).await?;
    let read = topic.read(Sequence::FIRST, 10, usize::MAX).await?;
    assert_eq!((read[0].body.len(), read[1].body.len()), (largest.body.len(), 0));
    for name in ["", &"n".repeat(crate::MAX_NAME_BYTES + 1)] {
        assert!(matches!(log.topic(name, TopicConfig::default()).await.err(), Some(LogError::Invalid(_))));
    }
    let missing = log.consumer("ns/c", "ns/none", Start::End).await.err();
    assert!(matches!(missing, Some(LogError::NotFound { .. })), "{missing:?}");
    Ok(())
}

async fn starts(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    append(topic.as_ref(), &["a", "b", "c"]).await?;
    let starts = [
        ("ns/end", Start::End, 0),
        ("ns/beginning", Start::Beginning, 3),
        ("ns/at", Start::At(Sequence::new(2)), 2),
        ("ns/before", Start::At(Sequence::new(0)), 3),
        ("ns/after", Start::At(Sequence::new(99)), 0),
    ];
    for (name, start, accepted) in starts {
        let consumer = log.consumer(name, "ns/orders", start).await?;
        let counters = Counters { accepted, pending: accepted, ..Counters::default() };
        assert_eq!(consumer.counters(), counters, "{name}");
        let again = log.consumer(name, "ns/orders", Start::Beginning).await?;
        assert_eq!(again.counters(), counters, "{name}: start counts only at creation");
    }
    let mut names: Vec<String> = starts.iter().map(|(name, ..)| (*name).to_owned()).collect();
    names.sort_unstable();
    assert_eq!(log.consumers().await?, names);
    log.topic("ns/other", TopicConfig::default()).await?;
    let moved = log.consumer("ns/at", "ns/other", Start::End).await.err();
    assert!(matches!(moved, Some(LogError::InUse { .. })), "{moved:?}");
    Ok(())
}

async fn settlements(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    let consumer = consumer.as_ref();
    append(topic.as_ref(), &["a", "b", "c", "d", "e"]).await?;
    let leases = lease(consumer, 10).await?;
    assert_eq!(bodies(&leases), [b"a", b"b", b"c", b"d", b"e"]);
    assert!(leases.iter().all(|lease| lease.attempt == 1 && lease.first_failure_ms.is_none()));
    let cause = vec![("status".to_owned(), "500".to_owned())];
    let retry = Settlement::Retry { due_ms: 0, cause: cause.clone(), counted: true };
    consumer.settle(&leases[0], Settlement::Done(Terminal::Delivered)).await?;
    consumer.settle(&leases[1], Settlement::Done(Terminal::Filtered)).await?;
    consumer.settle(&leases[2], Settlement::Dead { state: Terminal::Denied, cause: cause.clone() }).await?;
    consumer.settle(&leases[3], retry.clone()).await?;
    consumer.release(&leases[4]);
    assert_eq!(consumer.first_new(), Sequence::new(6));
    let twice = consumer.settle(&leases[0], Settlement::Done(Terminal::Delivered)).await;
    assert!(matches!(twice, Err(LogError::NotLeased { .. })), "{twice:?}");
    let again = [lease(consumer, 1).await?, lease(consumer, 1).await?].concat();
    let (released, retried): (Vec<_>, Vec<_>) = again.into_iter().partition(|lease| lease.attempt == 1);
    assert_eq!((bodies(&released), bodies(&retried)), (vec![b"e".as_slice()], vec![b"d".as_slice()]));
    assert_eq!((retried[0].attempt, &retried[0].last_cause), (2, &cause));
    assert!(retried[0].first_failure_ms.is_some());
    assert_eq!(consumer.state_of(retried[0].record.sequence), Some(EventState::Leased));
    for wrong in [Settlement::Done(Terminal::Dead), Settlement::Dead { state: Terminal::Delivered, cause: vec![] }] {
        assert!(matches!(consumer.settle(&retried[0], wrong).await, Err(LogError::Invalid(_))));
    }
    consumer.settle(&retried[0], Settlement::Retry { due_ms: u64::MAX, cause: cause.clone(), counted: true }).await?;
    let waiting = consumer.state_of(retried[0].record.sequence);
    assert!(matches!(waiting, Some(EventState::Retrying { attempt: 3, due_ms }) if due_ms < u64::MAX), "{waiting:?}");
    let kept = consumer.retry_of(retried[0].record.sequence).await?;
    assert_eq!(kept.map(|retry| (retry.attempt, retry.cause)), Some((3, cause.clone())));
    assert_eq!(consumer.retry_of(Sequence::new(1)).await?, None, "it has ended");
    consumer.settle(&released[0], Settlement::Dead { state: Terminal::Dead, cause: cause.clone() }).await?;
    let counters =
        Counters { accepted: 5, delivered: 1, filtered: 1, denied: 1, dead: 1, pending: 1, ..Counters::default() };
    assert_eq!(consumer.counters(), counters);
    assert_eq!(
        (consumer.state_of(Sequence::new(1)), consumer.state_of(Sequence::new(6))),
        (Some(EventState::Ended), None)
    );
    let dead = consumer.dead(None, 10).await?;
    let states: Vec<_> = dead.iter().map(|dead| (dead.state, dead.attempts)).collect();
    assert_eq!(states, [(Terminal::Denied, 1), (Terminal::Dead, 1)]);
    assert_eq!((&dead[0].cause, &dead[0].what), (&cause, &DeadEvents::One(leases[2].record.clone())));
    assert_eq!(consumer.dead(Some(dead[0].number), 10).await?, dead[1..]);
    assert_eq!(consumer.dead(None, 1).await?, dead[..1]);
    Ok(())
}

async fn order(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    let consumer = consumer.as_ref();
    let of = |id: &str, key: &str| NewRecord { key: Some(key.to_owned()), ..record(id) };
    topic.append(vec![of("a1", "a"), of("a2", "a"), of("b1", "b"), of("a3", "a"), of("b2", "b")]).await?;
    let in_order = async || Ok::<_, Box<dyn Error>>(tokio::time::timeout(PATIENCE, consumer.lease_in_order(9)).await??);
    let first = in_order().await?;
    assert_eq!(bodies(&first), [b"a1", b"b1"]);
    let again = |counted| Settlement::Retry { due_ms: 0, cause: vec![], counted };
    consumer.settle(&first[0], again(false)).await?;
    let second = in_order().await?;
    assert_eq!((bodies(&second), second[0].attempt), (vec![b"a1".as_slice()], 1), "an attempt that does not count");
    consumer.settle(&second[0], again(true)).await?;
    let third = in_order().await?;
    assert_eq!((bodies(&third), third[0].attempt), (vec![b"a1".as_slice()], 2));
    consumer.settle(&first[1], Settlement::Done(Terminal::Delivered)).await?;
    assert_eq!(bodies(&in_order().await?), [b"b2"]);
    consumer.settle(&third[0], Settlement::Dead { state: Terminal::Dead, cause: vec![] }).await?;
    assert_eq!(bodies(&in_order().await?), [b"a2"]);
    assert_eq!(bodies(&lease(consumer, 9).await?), [b"a3"], "without order nothing waits");
    Ok(())
}

async fn sorting(log: Arc<dyn EventLog>) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    assert_eq!(consumer.hold(), Sequence::FIRST);
    append(topic.as_ref(), &["a", "b", "c"]).await?;
    let waiter = consumer.clone();
    let waits = tokio::spawn(async move { waiter.lease(9).await });
    assert!(tokio::time::timeout(Duration::from_millis(5), consumer.lease(9)).await.is_err(), "nothing is sorted");
    assert_eq!(consumer.sort(Sequence::new(4), &[Sequence::new(2)]), Sequence::new(4));
    let got = tokio::time::timeout(PATIENCE, waits).await???;
    assert_eq!(bodies(&got), [b"b"]);
    let counters = Counters { accepted: 3, filtered: 2, pending: 1, ..Counters::default() };
    assert_eq!(consumer.counters(), counters);
    append(topic.as_ref(), &["d"]).await?;
    consumer.unhold();
    assert_eq!(bodies(&lease(consumer.as_ref(), 9).await?), [b"d"]);
    Ok(())
}

async fn handles(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    append(topic.as_ref(), &["a", "b"]).await?;
    let one = log.consumer("ns/bill", "ns/orders", Start::Beginning).await?;
    let held = lease(one.as_ref(), 1).await?;
    let two = log.consumer("ns/bill", "ns/orders", Start::Beginning).await?;
    assert_eq!(bodies(&lease(two.as_ref(), 10).await?), [b"b"], "what one handle holds the other does not get");
    drop((one, two));
    let three = log.consumer("ns/bill", "ns/orders", Start::Beginning).await?;
    let late = three.settle(&held[0], Settlement::Done(Terminal::Delivered)).await;
    assert!(matches!(late, Err(LogError::NotLeased { .. })), "a lease does not outlive its handle: {late:?}");
    assert_eq!(bodies(&lease(three.as_ref(), 10).await?), [b"a", b"b"]);
    Ok(())
}

async fn waiting(log: Arc<dyn EventLog>) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    let (waiter, other) = (consumer.clone(), consumer.clone());
    let waits = tokio::spawn(async move { waiter.lease(1).await });
    // A lease that is given up hands out nothing.
    let given_up = tokio::time::timeout(Duration::from_millis(1), other.lease(1)).await;
    assert!(given_up.is_err());
    append(topic.as_ref(), &["a"]).await?;
    let got = tokio::time::timeout(PATIENCE, waits).await???;
    assert_eq!(bodies(&got), [b"a"]);
    let soon = got[0].accepted_ms + 30;
    consumer.settle(&got[0], Settlement::Retry { due_ms: soon, cause: vec![], counted: true }).await?;
    let again = lease(consumer.as_ref(), 1).await?;
    assert_eq!((bodies(&again), again[0].attempt), (vec![b"a".as_slice()], 2));
    consumer.release(&again[0]);
    assert_eq!(lease(consumer.as_ref(), 1).await?[0].attempt, 2, "a released attempt does not count");
    let waiter = consumer.clone();
    let waits = tokio::spawn(async move { waiter.lease(1).await });
    log.close().await?;
    let ended = tokio::time::timeout(PATIENCE, waits).await??;
    assert!(matches!(ended, Err(LogError::Closed { .. })), "{ended:?}");
    Ok(())
}

async fn deletions(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    append(topic.as_ref(), &["a", "b"]).await?;
    let leases = lease(consumer.as_ref(), 1).await?;
    consumer.settle(&leases[0], Settlement::Done(Terminal::Delivered)).await?;
    let refused = log.delete_topic("ns/orders").await;
    assert!(matches!(refused, Err(LogError::InUse { .. })), "{refused:?}");
    let counters = log.delete_consumer("ns/bill").await?;
    assert_eq!(counters, Counters { accepted: 2, delivered: 1, cancelled: 1, ..Counters::default() });
    assert!(matches!(consumer.lease(1).await, Err(LogError::Closed { .. })));
    assert!(matches!(log.delete_consumer("ns/bill").await, Err(LogError::NotFound { .. })));
    assert!(log.delete_topic("ns/orders").await?);
    assert!(!log.delete_topic("ns/orders").await?, "it is gone already");
    assert!(matches!(log.delete_topic("").await, Err(LogError::Invalid(_))));
    assert!(matches!(append(topic.as_ref(), &["c"]).await, Err(AppendError::Closed { .. })));
    let new = log.topic("ns/orders", TopicConfig::default()).await?;
    assert_eq!(append(new.as_ref(), &["a"]).await?, [(1, false)], "a topic of that name begins anew");
    let new = log.consumer("ns/bill", "ns/orders", Start::Beginning).await?;
    assert_eq!(bodies(&lease(new.as_ref(), 9).await?), [b"a"]);
    Ok(())
}

async fn journals(log: &dyn EventLog) -> Outcome {
    let journal = log.journal("weft/changes").await?;
    assert_eq!(journal.read_all().await?, crate::JournalContents::default());
    for (sequence, entry) in (1..).zip(["one", "two", "three"]) {
        assert_eq!(journal.append(Bytes::from(entry)).await?.get().get(), sequence);
    }
    let entries = async || {
        let contents = log.journal("weft/changes").await?.read_all().await?;
        let checkpoint = contents.checkpoint.map(|checkpoint| (checkpoint.before.get(), checkpoint.bytes));
        let entries: Vec<_> = contents.entries.into_iter().map(|entry| (entry.sequence.get(), entry.bytes)).collect();
        Ok::<_, LogError>((checkpoint, entries))
    };
    let list = |entries: &[(u64, &'static str)]| -> Vec<(u64, Bytes)> {
        entries.iter().map(|(sequence, entry)| (*sequence, Bytes::from(*entry))).collect()
    };
    assert_eq!(entries().await?, (None, list(&[(1, "one"), (2, "two"), (3, "three")])));
    journal.compact(Sequence::new(3), Bytes::from("1+2")).await?;
    assert_eq!(entries().await?, (Some((3, Bytes::from("1+2"))), list(&[(3, "three")])));
    for before in [2, 5] {
        let refused = journal.compact(Sequence::new(before), Bytes::new()).await;
        assert!(matches!(refused, Err(LogError::Invalid(_))), "{before}: {refused:?}");
    }
    journal.compact(Sequence::new(4), Bytes::from("1+2+3")).await?;
    assert_eq!(journal.append(Bytes::from("four")).await?.get().get(), 4);
    assert_eq!(entries().await?, (Some((4, Bytes::from("1+2+3"))), list(&[(4, "four")])));
    Ok(())
}

async fn closing(log: &dyn EventLog) -> Outcome {
    let topic = log.topic("ns/orders", TopicConfig::default()).await?;
    let consumer = log.consumer("ns/bill", "ns/orders", Start::End).await?;
    let journal = log.journal("weft/changes").await?;
    append(topic.as_ref(), &["a"]).await?;
    let leases = lease(consumer.as_ref(), 1).await?;
    log.close().await?;
    log.close().await?;
    assert!(matches!(append(topic.as_ref(), &["b"]).await, Err(AppendError::Closed { .. })));
    assert!(matches!(topic.read(Sequence::FIRST, 1, 1).await, Err(LogError::Closed { .. })));
    assert!(matches!(consumer.lease(1).await, Err(LogError::Closed { .. })));
    let settled = consumer.settle(&leases[0], Settlement::Done(Terminal::Delivered)).await;
    assert!(matches!(settled, Err(LogError::Closed { .. })));
    assert!(matches!(journal.append(Bytes::new()).await, Err(LogError::Closed { .. })));
    assert!(matches!(log.topic("ns/orders", TopicConfig::default()).await.err(), Some(LogError::Closed { .. })));
    Ok(())
}
