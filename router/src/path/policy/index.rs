//! All policies of a snapshot, arranged so that a question meets only those that can speak to it: the mesh's own
//! (namespace `weft-system`) and those of the target's namespace.

use std::collections::HashMap;
use std::sync::Arc;

use weft_functions::manifest::Kind;
use weft_functions::policy::{Action, Operation, Policy, Rule, Source, StringMatch, Verb};
use weft_functions::value::{Name, Namespaced};

use super::explain::Ruling;
use super::permit::{Ground, RuleRef};
use super::question::Question;
use crate::path::call::Target;
use crate::path::spiffe::SpiffeId;

/// Policies in this namespace bind the whole mesh.
pub(super) const MESH_NAMESPACE: &str = "weft-system";

/// What holds where no ALLOW policy selects a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// `weft dev`.
    Allow,
    /// `weft serve`.
    Deny,
}

/// The policies of one snapshot.
#[derive(Debug)]
pub struct PolicyIndex {
    default: Default,
    by_namespace: HashMap<Name, Vec<Compiled>>,
}

#[derive(Debug)]
struct Compiled {
    name: Arc<str>,
    policy: Policy,
}

impl PolicyIndex {
    /// Arranges `policies`; `default` speaks where they are silent.
    pub fn new(default: Default, policies: impl IntoIterator<Item = Policy>) -> Self {
        let mut by_namespace: HashMap<Name, Vec<Compiled>> = HashMap::new();
        for policy in policies {
            let metadata = &policy.metadata;
            let name = format!("{}/{}", metadata.namespace, metadata.name).into();
            by_namespace.entry(metadata.namespace.clone()).or_default().push(Compiled { name, policy });
        }
        Self { default, by_namespace }
    }

    /// Istio's order: DENY; then ALLOW where any selects; then the default.
    pub fn evaluate(&self, question: Question<'_>) -> Ruling {
        let Some(resource) = Resource::of(question.target) else { return Ruling::Refused(Ground::NoAllow) };
        let selecting: Vec<&Compiled> = self.bearing_on(&resource).collect();
        for compiled in selecting.iter().filter(|compiled| compiled.policy.spec.action == Action::Deny) {
            if let Some(rule) = compiled.matching_rule(question) {
                return Ruling::Refused(Ground::Rule(rule));
            }
        }
        let mut selected = false;
        for compiled in selecting.iter().filter(|compiled| compiled.policy.spec.action == Action::Allow) {
            if let Some(rule) = compiled.matching_rule(question) {
                return Ruling::Allowed(Ground::Rule(rule));
            }
            selected |= compiled.speaks_of(question.verb);
        }
        match (selected, self.default) {
            (true, _) => Ruling::Refused(Ground::NoAllow),
            (false, Default::Allow) => Ruling::Allowed(Ground::Default),
            (false, Default::Deny) => Ruling::Refused(Ground::Default),
        }
    }

    fn bearing_on<'a>(&'a self, resource: &'a Resource<'a>) -> impl Iterator<Item = &'a Compiled> {
        let mesh = self.by_namespace.iter().filter(|(namespace, _)| namespace.as_str() == MESH_NAMESPACE);
        let mesh = mesh.flat_map(|(_, policies)| policies);
        let own = (resource.name.namespace.as_str() != MESH_NAMESPACE)
            .then(|| self.by_namespace.get(&resource.name.namespace))
            .flatten()
            .into_iter()
            .flatten();
        mesh.chain(own).filter(move |compiled| compiled.selects(resource))
    }
}

/// What a policy's `targets` name: the resource a call is aimed at, or the one that reaches outside.
struct Resource<'a> {
    kind: Kind,
    name: &'a Namespaced,
}

impl<'a> Resource<'a> {
    fn of(target: &'a Target) -> Option<Self> {
        match target {
            Target::Function(name) => Some(Self { kind: Kind::Function, name }),
            Target::Topic(name) | Target::Subscription(name) => Some(Self { kind: Kind::Topic, name }),
            Target::Outside(outside) => Some(Self { kind: outside.owner_kind, name: &outside.owner }),
            Target::Resource(_) | Target::Namespace(_) | Target::Nowhere(_) => None,
        }
    }
}

impl Compiled {
    fn selects(&self, resource: &Resource<'_>) -> bool {
        let targets = &self.policy.spec.targets;
        targets.is_empty()
            || targets.iter().any(|target| target.kind == resource.kind && target.name == resource.name.name)
    }

    /// A policy without rules matches nothing: `ALLOW` with none allows nobody.
    fn matching_rule(&self, question: Question<'_>) -> Option<RuleRef> {
        let rule = self.policy.spec.rules.iter().position(|rule| matches(rule, question))?;
        Some(RuleRef { policy: self.name.clone(), rule: rule as u32 })
    }

    /// Whether an ALLOW of this verb must match here: some rule is about the verb, or there are no rules at all.
    fn speaks_of(&self, verb: Verb) -> bool {
        let rules = &self.policy.spec.rules;
        let about = |rule: &Rule| rule.to.is_empty() || rule.to.iter().any(|operation| speaks_of(operation, verb));
        rules.is_empty() || rules.iter().any(about)
    }
}

fn matches(rule: &Rule, question: Question<'_>) -> bool {
    let principal = question.caller.principal.workload();
    (rule.from.is_empty() || rule.from.iter().any(|source| is_from(source, principal)))
        && (rule.to.is_empty() || rule.to.iter().any(|operation| speaks_of(operation, question.verb)))
}

fn speaks_of(operation: &Operation, verb: Verb) -> bool {
    operation.verbs.is_empty() || operation.verbs.contains(&verb)
}

fn is_from(source: &Source, principal: Option<&SpiffeId>) -> bool {
    let listed = |list: &[StringMatch]| principal.is_some_and(|id| list.iter().any(|entry| entry.matches(id.as_str())));
    (source.principals.any.is_empty() || listed(&source.principals.any)) && !listed(&source.principals.none)
}
