//! How a decision came about, step by step, for people. Derived by the same evaluation that decides, never beside it.

use std::sync::Arc;

use weft_functions::manifest::Location;

use super::permit::{Ground, RuleRef};

/// What policy says of a question, and by which steps.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The answer.
    pub ruling: Ruling,
    /// AUDIT rules that match, whatever the answer.
    pub audited: Vec<RuleRef>,
    /// Whether the target is deployed. Asked after policy: a caller who may not reach a name does not learn whether it
    /// exists.
    pub exists: bool,
    /// What was looked at, in the order of evaluation: `deny`, `audit`, `allow`, then the default.
    pub steps: Vec<Step>,
    /// Steps beyond the limit, which all did not match.
    pub omitted: usize,
}

/// The answer of policy, before it is asked whether the target exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// It may happen.
    Allowed(Ground),
    /// It may not.
    Refused(Ground),
    /// It depends on what is not known (yet): the event's attributes, or what was not kept of a call of the past.
    Unknown,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// In which phase.
    pub phase: Phase,
    /// `ns/name` of the policy; `None` for the default.
    pub policy: Option<Arc<str>>,
    /// The rule, counted from 0; `None` for a policy without rules and for the default.
    pub rule: Option<u32>,
    /// Where it is written.
    pub source: Option<Location>,
    /// Whether it matches; `None` if that depends on what is not known.
    pub matches: Option<bool>,
    /// Why (not), in words: the first field that fails.
    pub why: String,
}

/// The phases of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words are the contract's own")]
pub enum Phase {
    Deny,
    Audit,
    Allow,
    Default,
}

impl Phase {
    /// The word in explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Audit => "audit",
            Self::Allow => "allow",
            Self::Default => "default",
        }
    }
}
