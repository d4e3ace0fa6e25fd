//! May this call happen? One pure function, [`decide`], answers for requests, publishes, deliveries, replies and calls to
//! the outside alike, and it alone makes a [`Permit`]. Evaluation follows Istio's AuthorizationPolicy: a matching DENY
//! refuses; then, if any ALLOW selects this target and verb, one must match; otherwise the scope's default speaks.

mod index;
mod permit;

use weft_functions::policy::Verb;

pub use self::index::{Default, PolicyIndex};
pub use self::permit::{Labels, Permit};
use super::call::{Call, Target};
use super::caller::Caller;
use super::outcome::{Failure, Reason};
use super::snapshot::Snapshot;

/// What [`decide`] reads of a call.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the caller wants to do.
    pub verb: Verb,
    /// To what.
    pub target: &'a Target,
    /// Who asks.
    pub caller: &'a Caller,
}

impl<'a> From<&'a Call> for Question<'a> {
    fn from(call: &'a Call) -> Self {
        Self { verb: call.verb, target: &call.target, caller: &call.caller }
    }
}

/// The answer to a [`Question`].
#[derive(Debug)]
pub enum Decision {
    /// The call may have its effect.
    Permit(Permit),
    /// It may not.
    Denied(Denied),
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
    if let Target::Nowhere(failure) = question.target {
        return Decision::Denied(Denied { labels, failure: failure.clone() });
    }
    match snapshot.policy.evaluate(question) {
        Ok(grant) if snapshot.has(question.target) => Decision::Permit(Permit::new(labels, grant)),
        Ok(_) => {
            let log = format!("no such {}", question.target);
            Decision::Denied(Denied { labels, failure: Failure::hidden(Reason::RouteNone, log) })
        }
        Err(refusal) => Decision::Denied(Denied { labels, failure: Failure::hidden(refusal.reason, refusal.why) }),
    }
}

#[cfg(test)]
mod tests;
