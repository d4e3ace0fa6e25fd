//! The checker finds each kind of fault in histories made for it.

use super::*;

/// Two events of one writer, accepted in run 1, delivered to everybody once.
fn sound() -> (History, Received, Accounts) {
    let mut received = Received::default();
    let mut history = History::default();
    for number in 1..=4 {
        history.sent.push((1, accepted(number, number)));
        received.all.insert(id(number), vec![1]);
        if id(number).is_even() {
            received.even.insert(id(number), vec![1]);
        }
    }
    history.sent.push((1, Sent { id: id(5), what: What::Event, answer: Answer::Refused(400) }));
    let whole = Account { accepted: 4, delivered: 4, ..Account::default() };
    let half = Account { delivered: 2, filtered: 2, ..whole };
    (history, received, Accounts { topic: 4, all: whole, even: half, function: whole })
}

fn id(number: u64) -> Id {
    Id { writer: 1, number }
}

fn accepted(number: u64, sequence: u64) -> Sent {
    let answer = Answer::Accepted { sequence: Some(sequence), duplicate: false };
    Sent { id: id(number), what: What::Event, answer }
}

/// Spoils the sound campaign and expects the report to say `expect`, or to be clean if that is empty.
#[track_caller]
fn check(expect: &str, spoil: impl FnOnce(&mut History, &mut Received, &mut Accounts)) {
    let (mut history, mut received, mut accounts) = sound();
    spoil(&mut history, &mut received, &mut accounts);
    let report = judge(&history, &received, &accounts);
    assert_eq!(report.is_clean(), expect.is_empty(), "{report}");
    assert!(report.to_string().contains(expect), "{report}");
}

#[test]
fn each_fault_is_found() {
    check("", |_, _, _| {});
    check("1 prefix", |_, received, _| drop(received.all.remove(&id(1))));
    check("1 middle", |_, received, _| drop(received.all.remove(&id(3))));
    check("1 postfix", |_, received, _| drop(received.all.remove(&id(4))));
    check("even: 1-4, accepted in run 1 (Postfix)", |_, received, _| drop(received.even.remove(&id(4))));
    check("all: 1-9", |_, received, _| drop(received.all.insert(id(9), vec![1])));
    check("all: 1-5", |_, received, _| drop(received.all.insert(id(5), vec![1])));
    check("even: 1-3", |_, received, _| drop(received.even.insert(id(3), vec![1])));
    check("corrupted: 1", |_, received, _| received.corrupted.push("other bytes".to_owned()));
    check("came twice in run 1", |_, received, _| drop(received.all.insert(id(1), vec![1, 1])));
    check("both given the sequence", |history, _, _| history.sent[1].1 = accepted(2, 1));
    check("refused with 400 and has no mistake", |history, _, _| {
        history.sent.push((1, Sent { id: id(6), what: What::Event, answer: Answer::Refused(400) }));
    });
    check("accepted with the mistake", |history, _, _| history.sent.push((1, accepted(5, 5))));
    check("with another payload", |history, _, _| {
        history.sent.push((1, Sent { what: What::Forgery, ..accepted(4, 4) }));
    });
    check("function: delivered is 3 and should be 4", |_, _, accounts| accounts.function.delivered = 3);
    check("function: pending is 1", |_, _, accounts| accounts.function.pending = 1);
    check("the number of events in the topic is 5", |_, _, accounts| accounts.topic = 5);
}

#[test]
fn a_kill_may_undo_so_many_deliveries_and_no_more() {
    let campaign = |events: u64| {
        let mut received = Received::default();
        let sent = (1..=events).filter(|number| id(*number).mistake().is_none()).collect::<Vec<_>>();
        for number in &sent {
            received.all.insert(id(*number), vec![1, 2]);
        }
        let mut report = Report::default();
        repeats("all", &received.all, &mut report);
        (sent.len(), report.repeated.len())
    };
    let mut outcomes = (1..=2 * UNDONE_MAX as u64).map(campaign);
    assert!(outcomes.all(|(undone, faults)| (undone > UNDONE_MAX) == (faults > 0)));
}

#[test]
fn what_was_not_answered_may_come_or_not() {
    let unknown = |history: &mut History| {
        history.sent.push((1, Sent { id: id(6), what: What::Event, answer: Answer::Unknown }));
    };
    check("", |history, _, _| unknown(history));
    let (mut history, mut received, mut accounts) = sound();
    unknown(&mut history);
    received.all.insert(id(6), vec![2]);
    received.even.insert(id(6), vec![2]);
    for account in [&mut accounts.all, &mut accounts.even, &mut accounts.function] {
        account.accepted += 1;
        account.delivered += 1;
    }
    accounts.topic += 1;
    let report = judge(&history, &received, &accounts);
    assert!(report.is_clean(), "{report}");
}
