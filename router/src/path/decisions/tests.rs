//! What the ring keeps, for how long, and what it costs.

use http::StatusCode;

use super::*;
use crate::path::outcome::Failure;

const SPAN: u64 = (BLOCKS * BLOCK) as u64;

fn outcome(reason: Option<(Reason, &'static str)>) -> Outcome {
    match reason {
        Some((reason, log)) => Outcome::classify::<()>(&Err(Failure::hidden(reason, log))),
        None => Outcome { status: StatusCode::OK, failure: None },
    }
}

fn keep(decisions: &Decisions, number: u64, inputs: &[u8], outcome: &Outcome) {
    let labels = Labels::unknown(Verb::Publish);
    let head = Duration::from_micros(7);
    decisions.keep(&Made { number, snapshot: 3, at_ms: 5, labels: &labels, outcome, head, inputs, delivers: None });
}

#[test]
fn a_decision_is_there_with_its_head_and_complete_with_its_end() {
    let decisions = Decisions::default();
    assert_eq!(decisions.get(0), None);
    keep(&decisions, 0, b"inputs", &outcome(None));
    let kept = decisions.get(0).expect("kept");
    assert_eq!((kept.snapshot, kept.at_ms, kept.status, kept.reason), (3, 5, 200, None));
    assert_eq!((kept.inputs.as_slice(), kept.why.as_str(), kept.ending), (&b"inputs"[..], "", None));
    assert_eq!((kept.verb, kept.target, kept.ground), (Verb::Publish, None, None));
    let ending = Ending { end: End::Complete, bytes: 12, duration: Duration::from_secs(1) };
    decisions.end(0, ending);
    assert_eq!(decisions.get(0).expect("kept").ending, Some(ending));
    assert_eq!(decisions.get(1), None);
}

#[test]
fn the_oldest_makes_room_and_comes_back_never() {
    let decisions = Decisions::default();
    for number in 0..SPAN {
        keep(&decisions, number, &number.to_be_bytes(), &outcome(None));
    }
    for number in [0, 1, SPAN / 2, SPAN - 1] {
        assert_eq!(decisions.get(number).expect("kept").inputs, number.to_be_bytes());
    }
    keep(&decisions, SPAN, b"new", &outcome(None));
    assert_eq!(decisions.get(0), None);
    assert_eq!(decisions.get(SPAN).expect("kept").inputs, b"new");
    // One that was slow finds its place taken.
    keep(&decisions, 0, b"slow", &outcome(None));
    decisions.end(0, Ending { end: End::Broken, bytes: 0, duration: Duration::ZERO });
    assert_eq!(decisions.get(0), None);
    let kept = decisions.get(SPAN).expect("kept");
    assert_eq!((kept.inputs.as_slice(), kept.ending), (&b"new"[..], None));
    const { assert!(BLOCKS * BLOCK >= KEPT) };
}

#[test]
fn inputs_come_before_words() {
    let decisions = Decisions::default();
    let check = |inputs: usize, log: &'static str, expect: usize| {
        keep(&decisions, 0, &vec![7; inputs], &outcome(Some((Reason::FnTrap, log))));
        let kept = decisions.get(0).expect("kept");
        assert_eq!((kept.inputs.len(), kept.why.len(), kept.reason), (inputs, expect, Some(Reason::FnTrap)));
        assert!(log.starts_with(&kept.why), "{}", kept.why);
    };
    let long = "the wasm trap was an unreachable instruction, and the backtrace of it is as long as one can imagine, \
                with a name of a function that was mangled by a compiler on every line of it, and offsets in the code";
    check(0, "short", 5);
    check(INPUT_BYTES, long, TEXT_BYTES - INPUT_BYTES);
    check(INPUT_BYTES - 1, "ääääääääääääääääääääääääääääääää", TEXT_BYTES - INPUT_BYTES);
}

#[test]
fn memory_is_what_the_readme_says_and_comes_with_use() {
    let slot = size_of::<Mutex<Slot>>();
    assert!(slot <= 416, "{slot} bytes");
    let decisions = Decisions::default();
    let blocks = |decisions: &Decisions| decisions.blocks.iter().filter(|block| block.get().is_some()).count();
    assert_eq!(decisions.get(SPAN - 1), None);
    assert_eq!(blocks(&decisions), 0, "asking allocates nothing");
    keep(&decisions, 0, b"", &outcome(None));
    keep(&decisions, BLOCK as u64 - 1, b"", &outcome(None));
    assert_eq!(blocks(&decisions), 1);
}
