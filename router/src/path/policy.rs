//! May this call happen? One pure function, [`decide`], answers for requests, publishes, deliveries, replies, calls to the
//! outside and administration alike, and it alone makes a [`Permit`]. Evaluation follows Istio's AuthorizationPolicy: a
//! matching DENY refuses; then, if any ALLOW selects this target and verb, one must match; otherwise the scope's default
//! speaks.

mod encoding;
mod explain;
mod field;
mod index;
mod kept;
mod list;
mod permit;
mod predicate;
mod prefixes;
mod question;
mod rule;
mod scope;
mod shelf;

use weft_functions::event::Event;

pub use self::encoding::Encoding;
pub use self::explain::{Explanation, Phase, Ruling, Step};
pub use self::index::{Default, Judgement, PolicyIndex};
pub use self::kept::{Known, OwnedHead, OwnedQuestion};
pub use self::permit::{Ground, Labels, Permit, RuleRef};
pub use self::question::{Attributes, Head, Question};
pub use self::scope::Rules;
use super::call::Call;
use super::outcome::{Failure, Reason};
use super::snapshot::Snapshot;

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Decision {
    /// The call may have its effect.
    Permit(Permit),
    /// It may not.
    Denied(Denied),
    /// It depends on the event, which is not read yet. Only of a publish that some rule could still permit.
    NeedsEvent(Labels),
}

/// Why not, with the labels under which that is counted.
#[derive(Debug)]
pub struct Denied {
    /// What the call was.
    pub labels: Labels,
    /// What the caller and the log read.
    pub failure: Failure,
}

/// Decides. The verdict depends on the snapshot and the question alone.
///
/// Policy comes before existence: a caller who may do nothing with a name is told the same whether the name exists or
/// not (`threats.md` E-05).
pub fn decide(snapshot: &Snapshot, question: Question<'_>) -> Decision {
    let labels = Labels::of(snapshot, question);
    if let Some(failure) = question.target.refusal() {
        return Decision::Denied(Denied { labels, failure: failure.clone() });
    }
    let Judgement { ruling, audited, more_audits } = snapshot.policy.evaluate(question);
    let labels = labels.with_audits(audited);
    match ruling {
        Ruling::Refused(ground) => {
            let failure = refusal(&ground, question);
            Decision::Denied(Denied { labels: labels.resting_on(ground), failure })
        }
        Ruling::Allowed(_) | Ruling::Unknown if !snapshot.has(question.target) => {
            let log = format!("no such {}", question.target);
            Decision::Denied(Denied { labels, failure: Failure::hidden(Reason::RouteNone, log) })
        }
        Ruling::Allowed(ground) => Decision::Permit(Permit::new(labels.resting_on(ground)).noting_more(more_audits)),
        Ruling::Unknown => Decision::NeedsEvent(labels),
    }
}

/// What policy says of a question, step by step. Has no effect and makes no permit.
pub fn explain(snapshot: &Snapshot, question: Question<'_>) -> Explanation {
    snapshot.policy.trace(question, snapshot.has(question.target))
}

/// Decides about a call as far as its events are known: about each of them, all or nothing.
pub fn decide_call(snapshot: &Snapshot, call: &Call) -> Decision {
    let question = Question::of(call);
    match call.events.as_deref() {
        None => decide(snapshot, question),
        Some(events) => decide_each(snapshot, question, events),
    }
}

fn decide_each(snapshot: &Snapshot, question: Question<'_>, events: &[Event]) -> Decision {
    let mut permitted: Option<Permit> = None;
    for event in events {
        match (decide(snapshot, question.about(event)), &mut permitted) {
            (Decision::Permit(permit), None) => permitted = Some(permit),
            (Decision::Permit(permit), Some(first)) => first.join(permit),
            (refused, _) => return refused,
        }
    }
    match permitted {
        Some(permit) => Decision::Permit(permit),
        // Whoever could publish something may publish nothing.
        None => match decide(snapshot, question) {
            Decision::NeedsEvent(labels) => Decision::Permit(Permit::new(labels.resting_on(Ground::Nothing))),
            decided => decided,
        },
    }
}

/// What operators read of a refusal.
fn refusal(ground: &Ground, question: Question<'_>) -> Failure {
    let Question { verb, target, caller, .. } = question;
    let (who, verb) = (&caller.principal, verb.as_str());
    match ground {
        Ground::Rule(rule) => Failure::hidden(Reason::AuthzDenyRule, format!("{rule} denies {who} to {verb} {target}")),
        Ground::SourcePrefixes => Failure::hidden(
            Reason::AuthzDenyRule,
            format!("the sourcePrefixes of the namespace of {who} do not cover the source of its event"),
        ),
        Ground::NoAllow | Ground::Default | Ground::Nothing => {
            Failure::hidden(Reason::AuthzNoAllow, format!("no policy allows {who} to {verb} {target}"))
        }
    }
}

#[cfg(test)]
mod tests;
