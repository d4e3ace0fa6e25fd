//! The permit: proof that policy was asked and said yes. Its field is private to `policy`, so whoever starts a guest,
//! appends to a topic or dials out can do so only with a decision in hand, and reads the telemetry labels from it.

use std::fmt;
use std::sync::Arc;

use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::question::Question;
use crate::path::call::Target;
use crate::path::snapshot::Snapshot;
use crate::telemetry::metrics::CallSeries;

/// AUDIT rules that are noted of one call; more of them match in vain.
pub(super) const AUDITED_MAX: usize = 16;

/// Proof that a call may have its effect. Taken by value by each target: one permit, one effect.
#[derive(Debug)]
pub struct Permit {
    labels: Labels,
    notes_more: bool,
}

impl Permit {
    pub(super) fn new(labels: Labels) -> Self {
        Self { labels, notes_more: false }
    }

    /// Says whether AUDIT rules may match of which it is not known yet.
    pub(super) fn noting_more(self, notes_more: bool) -> Self {
        Self { notes_more, ..self }
    }

    /// Whether what the call carries has to be read before all AUDIT rules that it meets are known.
    pub fn notes_more(&self) -> bool {
        self.notes_more
    }

    /// Makes one permit of those for two events of a batch. What it rests on is what the first rests on.
    pub(super) fn join(&mut self, other: Self) {
        let audited = &mut self.labels.audited;
        for rule in other.labels.audited {
            if audited.len() < AUDITED_MAX && !audited.contains(&rule) {
                audited.push(rule);
            }
        }
    }

    /// What the call is, for telemetry and the log.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }
}

/// One rule of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleRef {
    /// `ns/name` of the policy.
    pub policy: Arc<str>,
    /// Counted from 0.
    pub rule: u32,
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "policy {} rule {}", self.policy, self.rule)
    }
}

/// What a verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ground {
    /// A rule: of a DENY that refuses, of an ALLOW that allows.
    Rule(RuleRef),
    /// The `sourcePrefixes` of the publisher's namespace, under none of which the event's source is.
    SourcePrefixes,
    /// ALLOW policies select the target, and none matches.
    NoAllow,
    /// No ALLOW policy selects the target, so the scope's default speaks.
    Default,
    /// A batch without events asks for nothing.
    Nothing,
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::SourcePrefixes => f.write_str("sourcePrefixes"),
            Self::NoAllow => f.write_str("no ALLOW policy matches"),
            Self::Default => f.write_str("default"),
            Self::Nothing => f.write_str("nothing was asked"),
        }
    }
}

/// What telemetry may say of a call: bounded in number by what is deployed, never by what callers send.
#[derive(Debug, Clone)]
pub struct Labels {
    /// The verb.
    pub verb: Verb,
    /// The target, if it exists here; for what lies outside, who reaches out. What does not exist has no name.
    name: Option<Namespaced>,
    /// Where its calls count, if it exists here.
    series: Option<Arc<CallSeries>>,
    /// What the verdict rests on; `None` where policy had no say (yet).
    pub ground: Option<Ground>,
    /// AUDIT rules that matched; they change nothing.
    pub audited: Vec<RuleRef>,
}

/// Where a call counts follows from what it is.
impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        let Self { verb, name, series: _, ground, audited } = self;
        (verb, name, ground, audited) == (&other.verb, &other.name, &other.ground, &other.audited)
    }
}

impl Eq for Labels {}

impl Labels {
    /// The labels of a call whose target is not known (yet).
    pub fn unknown(verb: Verb) -> Self {
        Self { verb, name: None, series: None, ground: None, audited: Vec::new() }
    }

    /// The target, if it exists here.
    pub fn resource(&self) -> Option<&Namespaced> {
        self.name.as_ref()
    }

    /// Where the target's calls count, if it exists here.
    pub fn series(&self) -> Option<&CallSeries> {
        self.series.as_deref()
    }

    /// The target's namespace, or empty.
    pub fn namespace(&self) -> &str {
        self.name.as_ref().map_or("", |name| name.namespace.as_str())
    }

    /// The target's name, or `-`.
    pub fn target(&self) -> &str {
        self.name.as_ref().map_or("-", |name| name.name.as_str())
    }

    pub(super) fn resting_on(self, ground: Ground) -> Self {
        Self { ground: Some(ground), ..self }
    }

    pub(super) fn with_audits(self, audited: Vec<RuleRef>) -> Self {
        Self { audited, ..self }
    }

    pub(super) fn of(snapshot: &Snapshot, question: Question<'_>) -> Self {
        let unknown = Self::unknown(question.verb);
        let found = match question.target {
            Target::Function(name) => snapshot.functions.get(name).map(|function| (&function.name, &function.series)),
            Target::Topic(name) | Target::Subscription(name) => {
                snapshot.topics.get(name).map(|topic| (&topic.name, &topic.series))
            }
            Target::Outside(outside) => return Self { name: Some(outside.owner.clone()), ..unknown },
            _ => None,
        };
        match found {
            Some((name, series)) => Self { name: Some(name.clone()), series: Some(series.clone()), ..unknown },
            None => unknown,
        }
    }
}
