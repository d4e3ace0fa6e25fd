//! All policies of a snapshot, and the order in which they are asked: the mesh's own (namespace `weft-system`) and those
//! of the target's namespace together; DENY, then AUDIT, then ALLOW, then the default.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weft_functions::manifest::SYSTEM_NAMESPACE;
use weft_functions::namespace::DefaultVerdict;
use weft_functions::policy::{Policy, Verb};
use weft_functions::value::Name;

use super::encoding::Encoding;
use super::explain::{Explanation, Phase, Ruling, Silent, Sink, Steps};
use super::field::{Field, Seen};
use super::permit::{AUDITED_MAX, Ground, RuleRef};
use super::predicate::Truth;
use super::question::Question;
use super::scope::{Rules, Scope};
use crate::path::call::Target;

/// What holds where no ALLOW policy selects a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// `weft dev`.
    Allow,
    /// `weft serve`.
    Deny,
}

impl From<DefaultVerdict> for Default {
    fn from(verdict: DefaultVerdict) -> Self {
        match verdict {
            DefaultVerdict::Allow => Self::Allow,
            DefaultVerdict::Deny => Self::Deny,
        }
    }
}

/// The policies of one snapshot.
#[derive(Debug, Clone)]
pub struct PolicyIndex {
    default: Default,
    scopes: HashMap<Name, Arc<Scope>>,
    /// That of the mesh, which is among them.
    mesh: Option<Arc<Scope>>,
}

/// What policy says of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The answer.
    pub ruling: Ruling,
    /// AUDIT rules that match; at most 16.
    pub audited: Vec<RuleRef>,
    /// Whether more AUDIT rules may match, which depends on what is not known yet.
    pub more_audits: bool,
}

/// The namespaces whose policies are asked: the mesh's own, then the target's.
#[derive(Clone, Copy)]
struct Asked<'a>([Option<(&'a Scope, bool)>; 2]);

impl PolicyIndex {
    /// Arranges `policies`; `default` speaks where they are silent.
    pub fn new(default: Default, policies: impl IntoIterator<Item = Arc<Policy>>) -> Self {
        let mut rules: BTreeMap<Name, Rules> = BTreeMap::new();
        for policy in policies {
            rules.entry(policy.metadata.namespace.clone()).or_default().policies.push(policy);
        }
        Self { default, scopes: HashMap::new(), mesh: None }.with(rules)
    }

    /// The index in which namespaces have these rules, and no others have any. What did not change is shared.
    #[must_use]
    pub fn with(&self, rules: BTreeMap<Name, Rules>) -> Self {
        let scope = |(name, written): (Name, Rules)| {
            let same = self.scopes.get(&name).filter(|scope| *scope.written() == written).cloned();
            (name, same.unwrap_or_else(|| Arc::new(Scope::new(written))))
        };
        let scopes: HashMap<Name, Arc<Scope>> = rules.into_iter().map(scope).collect();
        let mesh = scopes.iter().find(|(name, _)| name.as_str() == SYSTEM_NAMESPACE).map(|(_, scope)| scope.clone());
        Self { default: self.default, scopes, mesh }
    }

    /// What holds in a namespace, for tests of what is shared.
    #[cfg(test)]
    pub(super) fn scope(&self, namespace: &str) -> Option<&Arc<Scope>> {
        self.scopes.get(namespace)
    }

    /// Judges a question.
    pub fn evaluate(&self, question: Question<'_>) -> Judgement {
        self.walk(&question, &mut Silent)
    }

    /// Judges a question and says how that came about.
    pub(super) fn trace(&self, question: Question<'_>, exists: bool) -> Explanation {
        let mut steps = Steps::default();
        let judgement = self.walk(&question, &mut steps);
        steps.explanation(judgement, &question, exists)
    }

    /// Keeps the inputs of a question: who, what, and every value that the rules of this index look at.
    pub fn encode(&self, question: Question<'_>) -> Encoding {
        let asked = self.asked(&question).0.into_iter().flatten();
        Encoding::of(&question, asked.flat_map(|(scope, _)| scope.reads(question.verb)))
    }

    /// Istio's order: DENY; then ALLOW where any selects; then the default. What depends on what is not known leaves the
    /// answer open, unless the answer is the same either way or nothing could allow it.
    pub(super) fn walk<'a, S: Sink<'a>>(&'a self, question: &Question<'_>, sink: &mut S) -> Judgement {
        let asked = self.asked(question);
        let (audited, more_audits) = audits(asked, question, sink);
        let judged = |ruling, audited| Judgement { ruling, audited, more_audits };
        let mut denied = match first(asked, Phase::Deny, question, sink) {
            First::Matches(rule) => return judged(Ruling::Refused(Ground::Rule(rule)), audited),
            First::Depends => Truth::Maybe,
            First::None { .. } => Truth::No,
        };
        match self.publishes_elsewhere(question) {
            Truth::Yes => {
                sink.source(question);
                return judged(Ruling::Refused(Ground::SourcePrefixes), audited);
            }
            elsewhere => denied = denied.max(elsewhere),
        }
        let allowed = |ground| if denied == Truth::No { Ruling::Allowed(ground) } else { Ruling::Unknown };
        let ruling = match first(asked, Phase::Allow, question, sink) {
            First::Matches(rule) => allowed(Ground::Rule(rule)),
            First::Depends => Ruling::Unknown,
            First::None { selected: true } => Ruling::Refused(Ground::NoAllow),
            First::None { selected: false } => {
                let default = self.default_of(asked, question);
                sink.falls_back(default);
                match default {
                    Default::Allow => allowed(Ground::Default),
                    Default::Deny => Ruling::Refused(Ground::Default),
                }
            }
        };
        judged(ruling, audited)
    }

    fn asked(&self, question: &Question<'_>) -> Asked<'_> {
        let namespace = question.namespace();
        let own = namespace.and_then(|namespace| self.scopes.get(namespace));
        let system = namespace.is_some_and(|namespace| namespace.as_str() == SYSTEM_NAMESPACE);
        let mesh = self.mesh.as_deref().filter(|_| !system && namespace.is_some());
        Asked([mesh.map(|scope| (scope, false)), own.map(|scope| (&**scope, true))])
    }

    /// What holds where no ALLOW selects. A trigger reads the topics of its own namespace; those of another are for their
    /// owner to open, in `weft dev` too. A namespace's default is about what runs in it: who may administrate it is for the
    /// node and its policies to say.
    fn default_of(&self, asked: Asked<'_>, question: &Question<'_>) -> Default {
        if question.verb == Verb::Consume {
            let reader = question.caller.principal.workload().and_then(|id| id.namespace());
            let same = reader.is_some() && reader == question.namespace().map(Name::as_str);
            return if same { Default::Allow } else { Default::Deny };
        }
        let [_, own] = asked.0;
        match own.and_then(|(scope, _)| scope.written().default) {
            Some(default) if !matches!(question.target, Target::Resource(_) | Target::Namespace(_)) => default,
            _ => self.default,
        }
    }

    /// Whether a publish is of a source that the publisher's namespace does not have. A copy was judged when its event
    /// was admitted.
    fn publishes_elsewhere(&self, question: &Question<'_>) -> Truth {
        if question.verb != Verb::Publish || question.copy {
            return Truth::No;
        }
        let restricts = |scope: &&Arc<Scope>| !scope.written().source_prefixes.is_empty();
        let scope = match Field::Namespace.read(question) {
            Seen::Text(namespace) => self.scopes.get(namespace).filter(restricts),
            Seen::Unknown => {
                return if self.scopes.values().any(|scope| restricts(&scope)) { Truth::Maybe } else { Truth::No };
            }
            _ => None,
        };
        let Some(scope) = scope else { return Truth::No };
        match Field::Attribute("source".into()).read(question) {
            Seen::Text(source) => (!scope.admits(source)).into(),
            _ => Truth::Maybe,
        }
    }
}

/// What a phase came to.
enum First {
    /// The first rule that matches.
    Matches(RuleRef),
    /// None is known to; of some it is not known.
    Depends,
    /// None does; whether any was asked.
    None { selected: bool },
}

/// The first rule of a phase that matches.
fn first<'a, S: Sink<'a>>(asked: Asked<'a>, phase: Phase, question: &Question<'_>, sink: &mut S) -> First {
    let (mut selected, mut depends) = (false, false);
    for (scope, own) in asked.0.into_iter().flatten() {
        let sections = scope.sections(phase, question, own);
        selected |= !sections.is_empty();
        for rule in Scope::candidates(&sections, question) {
            let truth = scope.judge(rule, question, phase.doubt());
            sink.rule(phase, scope, rule, truth);
            match truth {
                Truth::Yes => {
                    sink.over(phase, scope, &sections, question);
                    return First::Matches(scope.rule_ref(rule));
                }
                Truth::Maybe => depends = true,
                Truth::No => {}
            }
        }
        sink.over(phase, scope, &sections, question);
    }
    if depends { First::Depends } else { First::None { selected } }
}

/// All AUDIT rules that match, and whether there are some of which it is not known.
fn audits<'a, S: Sink<'a>>(asked: Asked<'a>, question: &Question<'_>, sink: &mut S) -> (Vec<RuleRef>, bool) {
    let phase = Phase::Audit;
    let (mut audited, mut more) = (Vec::new(), false);
    for (scope, own) in asked.0.into_iter().flatten() {
        let sections = scope.sections(phase, question, own);
        for rule in Scope::candidates(&sections, question) {
            if audited.len() == AUDITED_MAX {
                break;
            }
            let truth = scope.judge(rule, question, phase.doubt());
            sink.rule(phase, scope, rule, truth);
            match truth {
                Truth::Yes => audited.push(scope.rule_ref(rule)),
                Truth::Maybe => more = true,
                Truth::No => {}
            }
        }
        sink.over(phase, scope, &sections, question);
    }
    (audited, more)
}
