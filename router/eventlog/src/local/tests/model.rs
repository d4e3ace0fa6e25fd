//! Random histories of one consumer against a map of what should be: no event is lost, handed out twice at once, or
//! ended twice, and the books balance at every step, over restarts too.
//!
//! Time is virtual: it passes only while nothing else can happen. So a case goes the same way each time, an event that
//! is never handed out is found at once, and a slow machine is not mistaken for that. The disk is simulated, and loses no power.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::restart::written;
use super::sim::SimDisk;
use super::*;
use crate::{Counters, SETTLEMENT_DELAY, Settlement, Start, Terminal, TopicConfig};

/// Random histories per run, and in the profile `full`.
const CASES: u32 = 100;
const CASES_FULL: u32 = 10_000;
/// Attempts to find a shorter history that fails too.
const SHORTER: u32 = 2_000;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Lease(usize),
    Settle(usize, u8),
    Release(usize),
    /// Until what is buffered is being written.
    Wait,
    Close,
    Kill,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Can be handed out, as this attempt.
    Free(u32),
    Leased(u32),
    Ended(Terminal),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..6_u64).prop_map(Step::Append),
        6 => (1..5_usize).prop_map(Step::Lease),
        12 => (0..64_usize, 0..6_u8).prop_map(|(which, how)| Step::Settle(which, how)),
        2 => (0..64_usize).prop_map(Step::Release),
        2 => Just(Step::Wait),
        1 => Just(Step::Close),
        1 => Just(Step::Kill),
    ]
}

fn settlement(how: u8) -> (Settlement, Option<Terminal>) {
    let ended = |state| (Settlement::Done(state), Some(state));
    let dead = |state| (Settlement::Dead { state, cause: vec![] }, Some(state));
    match how {
        0 => ended(Terminal::Delivered),
        1 => ended(Terminal::Filtered),
        2 => dead(Terminal::Dead),
        3 => dead(Terminal::Denied),
        4 => dead(Terminal::Expired),
        _ => (Settlement::Retry { due_ms: 0, cause: vec![], counted: true }, None),
    }
}

fn counters(model: &BTreeMap<u64, Expected>) -> Counters {
    let mut counters = Counters { accepted: model.len() as u64, ..Counters::default() };
    for expected in model.values() {
        match expected {
            Expected::Ended(state) => counters.count(*state, 1),
            _ => counters.pending += 1,
        }
    }
    counters
}

async fn play(steps: Vec<Step>) {
    let disk = SimDisk::default();
    let mut model: BTreeMap<u64, Expected> = BTreeMap::new();
    let mut held: Vec<Lease> = Vec::new();
    let open_all = async || {
        let log = LocalLog::open_with("/log".as_ref(), Arc::new(SystemClock), Arc::new(disk.reborn())).await.unwrap();
        let topic = log.topic("ns/t", TopicConfig::default()).await.unwrap();
        let consumer = log.consumer("ns/c", "ns/t", Start::Beginning).await.unwrap();
        (log, topic, consumer)
    };
    let (mut log, mut topic, mut consumer) = open_all().await;
    for step in steps {
        match step {
            Step::Append(count) => {
                let first = model.len() as u64 + 1;
                topic.append((first..first + count).map(numbered).collect()).await.unwrap();
                model.extend((first..first + count).map(|sequence| (sequence, Expected::Free(1))));
            }
            Step::Lease(max) => {
                if model.values().any(|expected| matches!(expected, Expected::Free(_))) {
                    let leases = lease(consumer.as_ref(), max).await;
                    assert!((1..=max).contains(&leases.len()));
                    for lease in leases {
                        let sequence = lease.record.sequence.get();
                        assert_eq!(
                            model.insert(sequence, Expected::Leased(lease.attempt)),
                            Some(Expected::Free(lease.attempt))
                        );
                        assert_eq!(lease.record.body, sequence.to_string());
                        held.push(lease);
                    }
                }
            }
            Step::Settle(which, how) if !held.is_empty() => {
                let lease = held.swap_remove(which % held.len());
                let (settlement, ended) = settlement(how);
                consumer.settle(&lease, settlement).await.unwrap();
                let expected = ended.map_or(Expected::Free(lease.attempt + 1), Expected::Ended);
                model.insert(lease.record.sequence.get(), expected);
            }
            Step::Release(which) if !held.is_empty() => {
                let lease = held.swap_remove(which % held.len());
                consumer.release(&lease);
                model.insert(lease.record.sequence.get(), Expected::Free(lease.attempt));
            }
            Step::Settle(..) | Step::Release(_) => {}
            Step::Wait => tokio::time::sleep(SETTLEMENT_DELAY).await,
            Step::Close | Step::Kill => {
                if matches!(step, Step::Close) {
                    log.close().await.unwrap();
                } else {
                    written(&log, "ns/c").await;
                }
                drop((log, topic, consumer));
                (log, topic, consumer) = open_all().await;
                for lease in held.drain(..) {
                    model.insert(lease.record.sequence.get(), Expected::Free(lease.attempt));
                }
            }
        }
        assert_eq!(consumer.counters(), counters(&model));
    }
}

/// How many histories: `WEFT_MODEL_CASES`, or what the profile says.
fn cases() -> u32 {
    match std::env::var("WEFT_MODEL_CASES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("WEFT_MODEL_CASES takes a number, not {text}")),
        Err(_) if std::env::var("NEXTEST_PROFILE").as_deref() == Ok("full") => CASES_FULL,
        Err(_) => CASES,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(),
        max_shrink_iters: SHORTER,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_books_balance(steps in proptest::collection::vec(step(), 1..60)) {
        virtual_time().block_on(play(steps));
    }
}
