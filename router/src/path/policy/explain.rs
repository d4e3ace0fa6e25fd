//! How a decision came about, step by step, for people. Derived by the same walk that decides: the walk tells a [`Sink`]
//! what it does, and on the path of a call nobody listens.

use std::sync::Arc;

use weft_functions::manifest::Location;

use super::index::{Default, Judgement};
use super::permit::{Ground, RuleRef};
use super::predicate::{Doubt, Truth};
use super::question::Question;
use super::scope::{Scope, Section};

/// Steps of an explanation; rules beyond it are counted. Those that match are always among them.
const STEPS_MAX: usize = 500;

/// What policy says of a question, and by which steps.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The answer.
    pub ruling: Ruling,
    /// AUDIT rules that match, whatever the answer; at most 16.
    pub audited: Vec<RuleRef>,
    /// Whether the target is deployed. Asked after policy: a caller who may not reach a name does not learn whether it
    /// exists.
    pub exists: bool,
    /// Every rule that was asked, in the order of evaluation (deny, audit, allow, then the default), up to the one that
    /// decides. Rules of policies that select other targets or are about other verbs are not asked.
    pub steps: Vec<Step>,
    /// Steps beyond 500, which all did not match.
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
    /// `ns/name` of the policy; `None` for the default and for `sourcePrefixes`.
    pub policy: Option<Arc<str>>,
    /// The rule, counted from 0; `None` for a policy without rules, the default and `sourcePrefixes`.
    pub rule: Option<u32>,
    /// Where the rule, or the policy, is written.
    pub source: Option<Location>,
    /// Whether it matches; `None` if that depends on what is not known.
    pub matches: Option<bool>,
    /// Why (not), in words: the first field that fails.
    pub why: String,
}

/// The phases of evaluation, in their order.
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

    /// What comes of a value that cannot be judged.
    pub(super) const fn doubt(self) -> Doubt {
        match self {
            Self::Deny | Self::Audit => Doubt::Matches,
            Self::Allow | Self::Default => Doubt::Fails,
        }
    }
}

/// Who is told what a walk does.
pub(super) trait Sink<'a> {
    /// A rule was judged.
    fn rule(&mut self, phase: Phase, scope: &'a Scope, rule: u32, truth: Truth);
    /// No more rules of these sections are judged.
    fn over(&mut self, phase: Phase, scope: &'a Scope, sections: &[&'a Section], question: &Question<'_>);
    /// The event's source is not one of the publisher's.
    fn source(&mut self, question: &Question<'_>);
    /// No ALLOW selects, so this holds.
    fn falls_back(&mut self, default: Default);
}

/// Nobody listens.
pub(super) struct Silent;

impl<'a> Sink<'a> for Silent {
    fn rule(&mut self, _: Phase, _: &'a Scope, _: u32, _: Truth) {}
    fn over(&mut self, _: Phase, _: &'a Scope, _: &[&'a Section], _: &Question<'_>) {}
    fn source(&mut self, _: &Question<'_>) {}
    fn falls_back(&mut self, _: Default) {}
}

/// Notes every step.
#[derive(Default)]
pub(super) struct Steps<'a> {
    noted: Vec<Noted<'a>>,
    /// Where the notes about the sections at hand begin.
    since: usize,
    last: Option<Step>,
}

struct Noted<'a> {
    phase: Phase,
    scope: &'a Scope,
    what: What,
    truth: Truth,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Rule(u32),
    /// A policy without rules.
    Policy(u32),
}

impl<'a> Sink<'a> for Steps<'a> {
    fn rule(&mut self, phase: Phase, scope: &'a Scope, rule: u32, truth: Truth) {
        self.noted.push(Noted { phase, scope, what: What::Rule(rule), truth });
    }

    /// Adds what the index passed over, because its keys tell that it does not match: people ask why not.
    fn over(&mut self, phase: Phase, scope: &'a Scope, sections: &[&'a Section], question: &Question<'_>) {
        let here = self.noted.get(self.since..).unwrap_or_default();
        let judged: Vec<What> = here.iter().map(|noted| noted.what).collect();
        // Only AUDIT goes on after a match.
        let end = here.last().filter(|noted| phase != Phase::Audit && noted.truth == Truth::Yes);
        let end = end.map_or(What::Policy(u32::MAX), |noted| noted.what);
        for section in sections {
            let passed = section.all().iter().map(|rule| What::Rule(*rule));
            for what in passed.filter(|what| *what < end && judged.binary_search(what).is_err()) {
                let What::Rule(rule) = what else { continue };
                let truth = scope.judge(rule, question, phase.doubt());
                self.noted.push(Noted { phase, scope, what, truth });
            }
            if end == What::Policy(u32::MAX) {
                let ruleless = section.ruleless().iter().map(|policy| What::Policy(*policy));
                self.noted.extend(ruleless.map(|what| Noted { phase, scope, what, truth: Truth::No }));
            }
        }
        let here = self.noted.get_mut(self.since..).unwrap_or_default();
        here.sort_by_key(|noted| noted.what);
        self.since = self.noted.len();
    }

    fn source(&mut self, question: &Question<'_>) {
        let source = question.event.and_then(|event| event.get("source")).unwrap_or_default();
        let namespace = question.caller.principal.workload().and_then(|id| id.namespace()).unwrap_or_default();
        let why = format!("source {source} is under none of the sourcePrefixes of namespace {namespace}");
        self.last = Some(Step::without_rule(Phase::Deny, true, why));
    }

    fn falls_back(&mut self, default: Default) {
        let word = match default {
            Default::Allow => "allow",
            Default::Deny => "deny",
        };
        let why = format!("no ALLOW policy selects this target and verb, and the default is {word}");
        self.last = Some(Step::without_rule(Phase::Default, true, why));
    }
}

impl Steps<'_> {
    /// What was noted, in words.
    pub(super) fn explanation(self, judgement: Judgement, question: &Question<'_>, exists: bool) -> Explanation {
        let mut room = STEPS_MAX;
        let mut omitted = 0;
        let mut steps = Vec::new();
        for noted in &self.noted {
            if noted.truth == Truth::No {
                if room == 0 {
                    omitted += 1;
                    continue;
                }
                room -= 1;
            }
            steps.push(noted.step(question));
        }
        steps.extend(self.last);
        // What the source's namespace says stands among the denials.
        steps.sort_by_key(|step| step.phase);
        let Judgement { ruling, audited, .. } = judgement;
        Explanation { ruling, audited, exists, steps, omitted }
    }
}

impl Noted<'_> {
    fn step(&self, question: &Question<'_>) -> Step {
        let Self { phase, scope, what, truth } = self;
        let ((policy, number), why) = match what {
            What::Rule(rule) => {
                let (policy, number) = scope.place(*rule).unwrap_or_default();
                ((policy, Some(number)), scope.why(*rule, question, phase.doubt()))
            }
            What::Policy(policy) => ((*policy, None), "it has no rules, so it allows nobody".to_owned()),
        };
        let (name, source) = scope.policy(policy, number).unzip();
        Step {
            phase: *phase,
            policy: name.cloned(),
            rule: number,
            source: source.cloned(),
            matches: match truth {
                Truth::Yes => Some(true),
                Truth::No => Some(false),
                Truth::Maybe => None,
            },
            why,
        }
    }
}

impl Step {
    fn without_rule(phase: Phase, matches: bool, why: String) -> Self {
        Self { phase, policy: None, rule: None, source: None, matches: Some(matches), why }
    }
}
