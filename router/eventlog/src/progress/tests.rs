//! Tables for the states of a consumer.

use super::*;

fn retry(attempt: u32, ready_at: u64) -> Retry {
    Retry { attempt, due_ms: ready_at, ready_at, first_failure_ms: 0, location: 1 }
}

#[test]
fn shares_are_fair() {
    let check = |max, due, fresh, expect: [(usize, usize); 2]| {
        let mut progress = Progress::new(1);
        let got = [progress.share(max, due, fresh), progress.share(max, due, fresh)];
        assert_eq!(got, expect, "max {max}, {due} due, {fresh} fresh");
    };
    check(1, 9, 9, [(1, 0), (0, 1)]);
    check(1, 0, 9, [(0, 1), (0, 1)]);
    check(1, 9, 0, [(1, 0), (1, 0)]);
    check(5, 9, 9, [(3, 2), (2, 3)]);
    check(4, 1, 9, [(1, 3), (1, 3)]);
    check(4, 9, 1, [(3, 1), (3, 1)]);
    check(4, 0, 0, [(0, 0), (0, 0)]);
}

#[test]
fn an_event_ends_once() {
    let mut progress = Progress::new(1);
    for sequence in progress.fresh(4, 10) {
        progress.take(sequence, None);
    }
    assert!(progress.claim(2));
    assert!(!progress.claim(2), "a settlement is being written");
    assert!(!progress.give_back(2), "a settlement is being written");
    progress.unclaim(2);
    assert!(progress.claim(2));
    assert!(progress.end(2, Terminal::Delivered));
    assert!(!progress.end(2, Terminal::Dead));
    assert_eq!(progress.floor, 1);
    assert!(progress.end(1, Terminal::Filtered));
    assert_eq!(progress.floor, 3);
    progress.put_aside(3, retry(2, 50));
    assert_eq!((progress.floor, progress.passed.len()), (4, 0), "a retry does not hold the floor");
    assert_eq!(
        progress.counters(4),
        Counters { accepted: 3, delivered: 1, filtered: 1, pending: 1, ..Counters::default() }
    );
    assert_eq!((progress.due(49, 9), progress.due(50, 9)), (vec![], vec![3]));
    assert_eq!(progress.take(3, None).expect("no line").0, 2);
    assert!(progress.give_back(3));
    assert_eq!(progress.due(50, 9), [3]);
    assert!(progress.end(3, Terminal::Dead));
    progress.put_aside(3, retry(3, 60));
    assert_eq!(progress.next_due(), None, "an ended event stays ended");
}

#[test]
fn no_event_is_left_behind_by_what_follows_it() {
    let check = |about, after: &dyn Fn(&mut Progress), expect: &[u64]| {
        // As after a restart: 4 waits for its retry, and what was handed out before is free again.
        let (mut passed, mut retries) = (Ranges::default(), BTreeMap::new());
        passed.insert(4, 5);
        retries.insert(4, retry(2, 0));
        let mut progress = Progress::restore(1, 1, passed, Counters::default(), retries);
        after(&mut progress);
        assert_eq!(progress.fresh(8, 9), expect, "{about}");
    };
    check("nothing", &|_| {}, &[1, 2, 3, 5, 6, 7]);
    check(
        "a retry handed out first",
        &|progress| assert_eq!(progress.take(4, None).expect("no line").0, 2),
        &[1, 2, 3, 5, 6, 7],
    );
    check(
        "an event out of order",
        &|progress| assert_eq!(progress.take(2, None).expect("no line").0, 1),
        &[1, 3, 5, 6, 7],
    );
    let back = |progress: &mut Progress| {
        progress.take(6, None);
        progress.give_back(6);
    };
    check("an event out of order, given back", &back, &[6, 1, 2, 3, 5, 7]);
    let gone = |progress: &mut Progress| assert_eq!(progress.end_waiting(3, 7, Terminal::Expired), 3);
    check("what is gone", &gone, &[1, 2, 7]);
}

#[test]
fn what_is_gone_expires_unless_it_is_on_lease_or_aside() {
    let mut progress = Progress::new(1);
    for sequence in [1, 2, 3, 4] {
        progress.take(sequence, None);
    }
    progress.end(1, Terminal::Delivered);
    progress.put_aside(2, retry(2, 0));
    progress.give_back(4);
    assert_eq!(progress.fresh(9, 2), [4, 5]);
    assert_eq!(progress.end_waiting(1, 8, Terminal::Expired), 4, "4, 5, 6, 7; 3 is on lease");
    assert_eq!(progress.fresh(9, 9), [8]);
    assert_eq!(progress.state_of(3, 9), Some(EventState::Leased));
    assert!(progress.end(3, Terminal::Delivered));
    assert_eq!(progress.floor, 8);
    assert_eq!(
        progress.counters(9),
        Counters { accepted: 8, delivered: 2, expired: 4, pending: 2, ..Counters::default() }
    );
}

#[test]
fn outstanding_events_are_bounded() {
    let mut progress = Progress::new(1);
    let all = progress.fresh(u64::MAX, MAX_OUTSTANDING + 10);
    assert_eq!(all.len(), MAX_OUTSTANDING);
    for sequence in all {
        progress.take(sequence, None);
    }
    assert_eq!(progress.fresh(u64::MAX, 1), [0_u64; 0]);
    progress.end(2, Terminal::Delivered);
    assert_eq!(progress.fresh(u64::MAX, 9), [0_u64; 0], "the range above the floor takes the place of the lease");
    progress.end(1, Terminal::Delivered);
    assert_eq!(progress.fresh(u64::MAX, 9).len(), 2);
}

#[test]
fn events_with_equal_keys_go_one_after_the_other() {
    let key = |name: &str| Key::of(Some(&name.to_owned()));
    let mut progress = Progress::new(1);
    assert!(progress.line_up(true, &HashMap::new()).is_empty());
    // 1 and 3 and 4 are of one key; 2 of another; 5 has none.
    let keys = [key("a"), key("b"), key("a"), key("a"), None];
    let hand_out = |progress: &mut Progress| -> Vec<u64> {
        let fresh = progress.fresh(6, 9);
        fresh.into_iter().filter(|sequence| progress.take(*sequence, keys[*sequence as usize - 1]).is_some()).collect()
    };
    assert_eq!(hand_out(&mut progress), [1, 2, 5]);
    assert_eq!(hand_out(&mut progress), [0_u64; 0], "3 and 4 wait, and are not read again and again");
    assert!(progress.give_back(1));
    assert_eq!(hand_out(&mut progress), [1], "what is given back stays the first");
    progress.put_aside(1, retry(2, 50));
    assert_eq!(hand_out(&mut progress), [0_u64; 0], "a failed event keeps its place");
    assert_eq!(progress.due(50, 9), [1]);
    assert!(progress.take(1, keys[0]).is_some());
    progress.end(1, Terminal::Dead);
    assert_eq!(hand_out(&mut progress), [3], "only once it is dead");
    progress.end(2, Terminal::Delivered);
    assert_eq!(progress.end_waiting(4, 6, Terminal::Expired), 1, "4; 5 is on lease");
    progress.end(3, Terminal::Delivered);
    assert_eq!(hand_out(&mut progress), [0_u64; 0]);
    progress.end(5, Terminal::Delivered);
    assert_eq!((progress.floor, progress.counters(6).pending), (6, 0));
}

#[test]
fn order_begins_with_what_is_outstanding() {
    let key = |name: &str| Key::of(Some(&name.to_owned()));
    let mut progress = Progress::new(1);
    for sequence in [1, 2, 3] {
        progress.take(sequence, key(if sequence == 3 { "b" } else { "a" }));
    }
    progress.put_aside(1, retry(2, 50));
    progress.put_aside(2, retry(2, 10));
    let unknown = progress.line_up(true, &HashMap::new());
    assert_eq!(unknown, [(1, 1), (2, 1)], "their keys have to be read");
    assert_eq!(progress.due(60, 9), [2, 1], "nothing has changed");
    let keys = [(1, key("a")), (2, key("a"))].into();
    assert!(progress.line_up(true, &keys).is_empty());
    assert_eq!((progress.due(60, 9), progress.next_due()), (vec![1], Some(50)));
    assert!(progress.take(4, key("b")).is_none(), "3 is on lease");
    assert!(progress.line_up(false, &HashMap::new()).is_empty());
    assert_eq!((progress.due(60, 9), progress.fresh(5, 9)), (vec![2, 1], vec![4]));
}

#[test]
fn events_that_wait_for_others_are_bounded() {
    let key = Key::of(Some(&"a".to_owned()));
    let mut progress = Progress::new(1);
    progress.line_up(true, &HashMap::new());
    for sequence in progress.fresh(u64::MAX, MAX_OUTSTANDING) {
        progress.take(sequence, key);
    }
    assert_eq!(progress.fresh(u64::MAX, 9).len(), 0);
    progress.end(1, Terminal::Delivered);
    assert_eq!(progress.fresh(u64::MAX, 1), [2]);
}

#[test]
fn what_is_held_is_handed_out_as_it_is_sorted() {
    let mut progress = Progress::new(1);
    assert_eq!(progress.sort(5, &[]), (5, 0), "nobody holds");
    progress.take(1, None);
    assert_eq!(progress.hold(), 2);
    assert_eq!(progress.fresh(9, 9), [0_u64; 0]);
    assert_eq!(progress.sort(6, &[3, 5, 8]), (6, 2), "2 and 4");
    assert_eq!(progress.fresh(9, 9), [3, 5]);
    assert_eq!(progress.sort(4, &[]), (6, 0), "it is sorted already");
    progress.take(3, None);
    progress.give_back(3);
    assert_eq!(progress.fresh(9, 9), [3, 5], "what was given back was handed out before");
    assert_eq!(progress.sort(9, &[]), (9, 3));
    assert_eq!(progress.hold(), 9, "holding again changes nothing");
    let counters = progress.counters(9);
    assert_eq!((counters.accepted, counters.filtered, counters.pending), (8, 5, 3));
    progress.unhold();
    assert_eq!(progress.fresh(12, 9), [3, 5, 9, 10, 11]);
}

#[test]
fn no_more_is_sorted_than_has_room() {
    let mut progress = Progress::new(1);
    progress.hold();
    let (mut sorted, mut rounds) = (1, 0);
    loop {
        // One event in two passes, and none is taken.
        let passing: Vec<u64> = (sorted..sorted + 100).step_by(2).collect();
        let (until, _) = progress.sort(sorted + 100, &passing);
        if until == sorted {
            break;
        }
        (sorted, rounds) = (until, rounds + 1);
    }
    assert!((300..700).contains(&rounds), "{rounds}");
    assert!(progress.passed.len() < MAX_OUTSTANDING);
    for sequence in progress.fresh(u64::MAX, 1_000) {
        progress.take(sequence, None);
        progress.end(sequence, Terminal::Delivered);
    }
    assert!(progress.sort(sorted + 100, &[]).0 > sorted, "there is room again");
}
