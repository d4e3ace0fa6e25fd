//! Where an event stands at a trigger, in words, row by row.

use weft_eventlog::Terminal;

use super::*;

fn retry(attempt: u32) -> RetryRecord {
    RetryRecord { attempt, due_ms: 0, first_failure_ms: 0, cause: Vec::new() }
}

fn dead(state: Terminal) -> DeadRecord {
    let what = DeadEvents::Range { first: Sequence::new(3), last: Sequence::new(5) };
    DeadRecord { number: 1, state, attempts: 2, cause: Vec::new(), at_ms: 0, what }
}

#[test]
fn where_an_event_stands() {
    use EventState::{Ended, Leased, Retrying, Waiting};
    let next = |attempt: u32, at: Option<&str>| Some(Next { attempt, at: at.map(str::to_owned) });
    let due = Retrying { attempt: 4, due_ms: 1_000 };
    for (state, attempt, ended_as, filtered, expect) in [
        (None, None, None, false, ("before_start", None)),
        (None, None, None, true, ("before_start", None)),
        (Some(Waiting), None, None, false, ("waiting", next(1, None))),
        (Some(Waiting), Some(3), None, false, ("waiting", next(3, None))),
        (Some(Leased), None, None, false, ("in_flight", next(1, None))),
        (Some(Leased), Some(2), None, true, ("in_flight", next(2, None))),
        (Some(due), Some(4), None, false, ("retrying", next(4, Some("1970-01-01T00:00:01Z")))),
        (Some(Ended), None, None, false, ("delivered", None)),
        (Some(Ended), None, None, true, ("filtered", None)),
        (Some(Ended), None, Some(Terminal::Dead), false, ("dead", None)),
        // The filters may have changed since: what the log says counts.
        (Some(Ended), None, Some(Terminal::Denied), true, ("denied", None)),
        (Some(Ended), None, Some(Terminal::Expired), false, ("expired", None)),
        (Some(Ended), None, Some(Terminal::Cancelled), false, ("cancelled", None)),
    ] {
        let (retry, dead) = (attempt.map(retry), ended_as.map(dead));
        let found = standing(state, retry.as_ref(), dead.as_ref(), filtered);
        assert_eq!(found, expect, "{state:?} {attempt:?} {ended_as:?} {filtered}");
    }
}

#[test]
fn an_entry_of_the_dead_log_covers_its_events() {
    for (sequence, expect) in [(2, false), (3, true), (4, true), (5, true), (6, false)] {
        assert_eq!(covers(&dead(Terminal::Expired), Sequence::new(sequence)), expect, "{sequence}");
    }
}
