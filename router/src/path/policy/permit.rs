//! The permit: proof that policy was asked and said yes. Its field is private to `policy`, so whoever starts a guest,
//! appends to a topic or dials out can do so only with a decision in hand, and reads the telemetry labels from it.

use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::super::call::Target;
use super::super::snapshot::Snapshot;
use super::Question;
use super::index::Grant;

/// Proof that a call may have its effect. Taken by value by each target: one permit, one effect.
#[derive(Debug)]
pub struct Permit {
    labels: Labels,
    grant: Grant,
}

impl Permit {
    pub(super) fn new(labels: Labels, grant: Grant) -> Self {
        Self { labels, grant }
    }

    /// What the call is, for telemetry and the log.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// What allowed it.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }
}

/// What telemetry may say of a call: bounded in number by what is deployed, never by what callers send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The verb.
    pub verb: Verb,
    /// The target, if it exists here; what does not exist and what lies outside have no name of their own.
    name: Option<Namespaced>,
}

impl Labels {
    /// The labels of a call whose target is not known (yet).
    pub fn unknown(verb: Verb) -> Self {
        Self { verb, name: None }
    }

    /// The target's namespace, or empty.
    pub fn namespace(&self) -> &str {
        self.name.as_ref().map_or("", |name| name.namespace.as_str())
    }

    /// The target's name, or `-`.
    pub fn target(&self) -> &str {
        self.name.as_ref().map_or("-", |name| name.name.as_str())
    }

    pub(super) fn of(snapshot: &Snapshot, question: Question<'_>) -> Self {
        match question.target {
            Target::Function(name) | Target::Topic(name) if snapshot.has(question.target) => {
                Self { verb: question.verb, name: Some(name.clone()) }
            }
            _ => Self::unknown(question.verb),
        }
    }
}
