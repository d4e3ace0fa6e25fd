//! Compares what writers were told with what came: pure, so that it can itself be tested. A checker that never complains
//! proves nothing.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::campaign::IN_FLIGHT;
use super::event::Id;
use super::sink::{Deliveries, Received};
use super::writer::{Answer, Sent, What};

/// Deliveries of one trigger that one kill may undo: those under way, and those whose settlement was not written yet
/// (router/eventlog/README.md, limits: "settlements a kill can undo").
const UNDONE_MAX: usize = IN_FLIGHT + 64;
/// Findings of one kind that are shown.
const SHOWN: usize = 12;

/// Every request of the campaign with the run of the node it was sent to, in order for each writer.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) sent: Vec<(usize, Sent)>,
}

/// The durable counters of a trigger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) accepted: u64,
    pub(super) delivered: u64,
    pub(super) filtered: u64,
    /// Denied, expired, dead or cancelled: nothing here may be.
    pub(super) failed: u64,
    pub(super) pending: u64,
}

/// All counters when nothing is pending.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Accounts {
    /// Events the topic ever took.
    pub(super) topic: u64,
    pub(super) all: Account,
    pub(super) even: Account,
    pub(super) function: Account,
}

impl Accounts {
    pub(super) fn triggers(&self) -> [(&'static str, Account); 3] {
        [("all", self.all), ("even", self.even), ("function", self.function)]
    }
}

/// Where in the accepted events of its run a lost one stood, in the order of their sequences. What is lost at the end was
/// never written; what is lost at the beginning or in the middle was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Prefix,
    Middle,
    Postfix,
}

/// An event that was answered 202 and did not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) trigger: &'static str,
    pub(super) id: Id,
    pub(super) run: usize,
    pub(super) place: Place,
}

/// What a campaign came to.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Events answered 202, refused, and neither.
    pub(super) accepted: usize,
    pub(super) refused: usize,
    pub(super) unknown: usize,
    /// Deliveries, and those of them that were not the first of their event.
    pub(super) delivered: usize,
    pub(super) again: usize,
    /// Answered 202 and not delivered.
    pub(super) lost: Vec<Loss>,
    /// Delivered and never sent, refused, or not selected.
    pub(super) phantom: Vec<String>,
    /// Delivered, and not as it was sent.
    pub(super) corrupted: Vec<String>,
    /// Delivered again without a cause, or more often than kills explain.
    pub(super) repeated: Vec<String>,
    /// Answers that must not be given.
    pub(super) answers: Vec<String>,
    /// Counters that do not agree with what came.
    pub(super) accounts: Vec<String>,
}

/// What is known of an accepted event.
struct Promise {
    run: usize,
    sequence: Option<u64>,
}

/// Judges a campaign after which nothing is pending.
pub(super) fn judge(history: &History, received: &Received, accounts: &Accounts) -> Report {
    let mut report = Report { corrupted: received.corrupted.clone(), ..Report::default() };
    let (promises, maybe) = read(history, &mut report);
    report.lost = losses("all", &promises, &received.all, |_| true);
    report.lost.extend(losses("even", &promises, &received.even, Id::is_even));
    for (trigger, deliveries) in [("all", &received.all), ("even", &received.even)] {
        let selects = |id: &Id| trigger == "all" || id.is_even();
        let phantoms =
            deliveries.keys().filter(|id| !selects(id) || !(promises.contains_key(id) || maybe.contains(id)));
        report.phantom.extend(phantoms.map(|id| format!("{trigger}: {id}")));
        repeats(trigger, deliveries, &mut report);
    }
    balance(received, accounts, &mut report);
    report
}

/// What was promised, and what may have been kept all the same.
fn read(history: &History, report: &mut Report) -> (BTreeMap<Id, Promise>, BTreeSet<Id>) {
    let (mut promises, mut maybe, mut refused) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    let mut owners: BTreeMap<u64, Id> = BTreeMap::new();
    for &(run, Sent { id, what, answer }) in &history.sent {
        match (what, answer) {
            (What::Event, Answer::Unknown) if id.mistake().is_none() => drop(maybe.insert(id)),
            (_, Answer::Unknown) => {}
            (What::Event, Answer::Accepted { sequence, duplicate }) => {
                if id.mistake().is_some() {
                    report.answers.push(format!("{id} was accepted with the mistake {:?}", id.mistake()));
                }
                if duplicate && !maybe.contains(&id) {
                    report.answers.push(format!("{id} was called a duplicate the first time"));
                }
                let owner = sequence.map(|sequence| *owners.entry(sequence).or_insert(id));
                if let Some(owner) = owner.filter(|owner| *owner != id) {
                    report.answers.push(format!("{id} and {owner} were both given the sequence {sequence:?}"));
                }
                promises.entry(id).or_insert(Promise { run, sequence });
            }
            (What::Event, Answer::Refused(status)) => {
                refused.insert(id);
                if id.mistake().is_none() {
                    report.answers.push(format!("{id} was refused with {status} and has no mistake"));
                }
            }
            (What::Forgery, Answer::Refused(409)) => {}
            (What::Forgery, answer) => report.answers.push(format!("{id} with another payload: {answer:?}")),
        }
    }
    maybe.retain(|id| !promises.contains_key(id));
    (report.accepted, report.refused, report.unknown) = (promises.len(), refused.len(), maybe.len());
    (promises, maybe)
}

fn losses(
    trigger: &'static str,
    promises: &BTreeMap<Id, Promise>,
    deliveries: &Deliveries,
    selects: impl Fn(Id) -> bool,
) -> Vec<Loss> {
    let mut runs: BTreeMap<usize, Vec<(Option<u64>, Id)>> = BTreeMap::new();
    for (id, promise) in promises.iter().filter(|(id, _)| selects(**id)) {
        runs.entry(promise.run).or_default().push((promise.sequence, *id));
    }
    let mut lost = Vec::new();
    for (run, mut accepted) in runs {
        // Those whose body broke off have no sequence; they were the last.
        accepted.sort_by_key(|(sequence, _)| sequence.unwrap_or(u64::MAX));
        let came: Vec<bool> = accepted.iter().map(|(_, id)| deliveries.contains_key(id)).collect();
        let (first, last) = (came.iter().position(|came| *came), came.iter().rposition(|came| *came));
        for (at, (_, id)) in accepted.iter().enumerate().filter(|(at, _)| !came[*at]) {
            let place = match (first, last) {
                (Some(first), _) if at < first => Place::Prefix,
                (_, Some(last)) if at < last => Place::Middle,
                _ => Place::Postfix,
            };
            lost.push(Loss { trigger, id: *id, run, place });
        }
    }
    lost
}

/// A delivery that is followed by another of the same event must have been undone by the kill of its run.
fn repeats(trigger: &str, deliveries: &Deliveries, report: &mut Report) {
    let mut undone: BTreeMap<usize, usize> = BTreeMap::new();
    for (id, runs) in deliveries {
        report.delivered += runs.len();
        report.again += runs.len() - 1;
        for pair in runs.windows(2) {
            if pair[0] == pair[1] {
                report.repeated.push(format!("{trigger}: {id} came twice in run {}", pair[0]));
            } else {
                *undone.entry(pair[0]).or_default() += 1;
            }
        }
    }
    let too_many = undone.into_iter().filter(|(_, count)| *count > UNDONE_MAX);
    let says =
        |(run, count)| format!("{trigger}: the end of run {run} undid {count} deliveries, at most {UNDONE_MAX} may be");
    report.repeated.extend(too_many.map(says));
}

fn balance(received: &Received, accounts: &Accounts, report: &mut Report) {
    let mut check = |what: &str, got: u64, expect: u64| {
        if got != expect {
            report.accounts.push(format!("{what} is {got} and should be {expect}"));
        }
    };
    let (all, even) = (received.all.len() as u64, received.even.len() as u64);
    check("the number of events in the topic", accounts.topic, all);
    for (name, account) in accounts.triggers() {
        let selected = if name == "even" { even } else { all };
        check(&format!("{name}: accepted"), account.accepted, all);
        check(&format!("{name}: delivered"), account.delivered, selected);
        check(&format!("{name}: filtered"), account.filtered, all.saturating_sub(selected));
        check(&format!("{name}: denied, expired, dead or cancelled"), account.failed, 0);
        check(&format!("{name}: pending"), account.pending, 0);
    }
}

impl Report {
    pub(super) fn is_clean(&self) -> bool {
        let others = [&self.phantom, &self.corrupted, &self.repeated, &self.answers, &self.accounts];
        self.lost.is_empty() && others.iter().all(|found| found.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, refused, unknown, delivered, again, lost, .. } = self;
        writeln!(f, "events: {accepted} accepted, {refused} refused, {unknown} unanswered")?;
        writeln!(f, "deliveries: {delivered}, of them {again} again")?;
        let count = |place| lost.iter().filter(|loss| loss.place == place).count();
        let (prefix, middle, postfix) = (count(Place::Prefix), count(Place::Middle), count(Place::Postfix));
        writeln!(f, "lost: {} ({prefix} prefix, {middle} middle, {postfix} postfix)", lost.len())?;
        for Loss { trigger, id, run, place } in lost.iter().take(SHOWN) {
            writeln!(f, "  {trigger}: {id}, accepted in run {run} ({place:?})")?;
        }
        for (kind, found) in [
            ("phantom", &self.phantom),
            ("corrupted", &self.corrupted),
            ("repeated", &self.repeated),
            ("wrong answers", &self.answers),
            ("wrong accounts", &self.accounts),
        ] {
            writeln!(f, "{kind}: {}", found.len())?;
            found.iter().take(SHOWN).try_for_each(|text| writeln!(f, "  {text}"))?;
        }
        Ok(())
    }
}
