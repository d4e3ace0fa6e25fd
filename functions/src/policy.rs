//! The resource `Policy`: who may do what to which resource, in the words of Istio's AuthorizationPolicy.
//!
//! Only the parsed rules live here; what they mean together (DENY, then ALLOW, then the default) is the router's.

mod read;
mod string_match;

use serde_json::{Map, Value, json};

pub use string_match::StringMatch;

use crate::manifest::{Kind, Location, Metadata, Reference};
use crate::value::Name;

/// A policy as a person wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name and namespace. In `weft-system` it binds the whole mesh.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: PolicySpec,
    /// Where its document begins.
    pub location: Location,
    /// Every resource that the spec names, with its line.
    pub(crate) references: Vec<Reference>,
}

/// The body of a [`Policy`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySpec {
    /// What a match means.
    pub action: Action,
    /// Which resources of the namespace; empty is all of them.
    pub targets: Vec<Target>,
    /// A call matches the policy when it matches one rule; none match without rules, as in Istio.
    pub rules: Vec<Rule>,
}

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `ALLOW` (default).
    Allow,
    /// `DENY`.
    Deny,
}

impl Action {
    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
        }
    }
}

/// A resource that a policy binds, in the policy's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `Function`, `Topic` or `Trigger`.
    pub kind: Kind,
    /// Its name.
    pub name: Name,
}

/// One rule: at least one of `from` and one of `to` must match. A list that was left out is empty and does not narrow; a
/// list written as `[]` is refused, so that a template that yields nothing never opens a rule to everyone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Who calls.
    pub from: Vec<Source>,
    /// What they do.
    pub to: Vec<Operation>,
}

impl Rule {
    /// Whether this principal doing this verb matches the rule.
    pub fn matches(&self, principal: Option<&str>, verb: Verb) -> bool {
        (self.from.is_empty() || self.from.iter().any(|source| source.matches(principal)))
            && (self.to.is_empty() || self.to.iter().any(|operation| operation.matches(verb)))
    }
}

/// Who calls. All given fields must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// One of these must match the caller's identity; empty does not narrow.
    pub principals: Vec<StringMatch>,
    /// None of these may match it.
    pub not_principals: Vec<StringMatch>,
}

impl Source {
    /// Whether the caller is meant. A caller without identity matches no `principals`, and is kept out by none of
    /// `notPrincipals`, as in Istio.
    pub fn matches(&self, principal: Option<&str>) -> bool {
        let listed = |list: &[StringMatch]| principal.is_some_and(|name| list.iter().any(|entry| entry.matches(name)));
        (self.principals.is_empty() || listed(&self.principals)) && !listed(&self.not_principals)
    }
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operation {
    /// One of these; empty is every verb.
    pub verbs: Vec<Verb>,
}

impl Operation {
    /// Whether the verb is meant.
    pub fn matches(&self, verb: Verb) -> bool {
        self.verbs.is_empty() || self.verbs.contains(&verb)
    }
}

/// What a call does to its target. One vocabulary for requests, events and administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// `request`: an HTTP request to a function.
    Request,
    /// `publish`: an event to a topic.
    Publish,
    /// `consume`: a trigger reading a topic.
    Consume,
    /// `deliver`: an event to a function, through a trigger.
    Deliver,
    /// `egress`: a function calling out of the mesh.
    Egress,
    /// `read`: look at resources, events and decisions.
    Read,
    /// `apply`: change resources.
    Apply,
    /// `operate`: redrive, replay, drain.
    Operate,
}

impl Verb {
    /// Every verb, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Request,
        Self::Publish,
        Self::Consume,
        Self::Deliver,
        Self::Egress,
        Self::Read,
        Self::Apply,
        Self::Operate,
    ];

    /// The word in manifests, metrics and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Publish => "publish",
            Self::Consume => "consume",
            Self::Deliver => "deliver",
            Self::Egress => "egress",
            Self::Read => "read",
            Self::Apply => "apply",
            Self::Operate => "operate",
        }
    }

    /// Whether the verb can be done to a resource of this kind at all.
    pub const fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Request | Self::Egress => matches!(kind, Kind::Function),
            Self::Publish => matches!(kind, Kind::Topic),
            Self::Consume => matches!(kind, Kind::Topic | Kind::Trigger),
            Self::Deliver => matches!(kind, Kind::Function | Kind::Trigger),
            Self::Read | Self::Apply | Self::Operate => true,
        }
    }
}

impl PolicySpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        let targets: Vec<Value> = self.targets.iter().map(|t| json!({ t.kind.singular(): t.name })).collect();
        let rules: Vec<Value> = self.rules.iter().map(Rule::to_json).collect();
        json!({ "action": self.action.as_str(), "targets": targets, "rules": rules })
    }
}

impl Rule {
    fn to_json(&self) -> Value {
        let texts = |list: &[StringMatch]| Value::from_iter(list.iter().map(StringMatch::to_string));
        let source = |source: &Source| {
            let mut fields = Map::new();
            // Only what narrows is written: an explicit empty list is refused when read.
            for (key, list) in [("principals", &source.principals), ("notPrincipals", &source.not_principals)] {
                if !list.is_empty() {
                    fields.insert(key.into(), texts(list));
                }
            }
            json!({ "source": fields })
        };
        let operation = |operation: &Operation| json!({ "operation": { "verbs": Value::from_iter(operation.verbs.iter().map(|verb| verb.as_str())) } });
        let mut rule = Map::new();
        if !self.from.is_empty() {
            rule.insert("from".into(), Value::from_iter(self.from.iter().map(source)));
        }
        if !self.to.is_empty() {
            rule.insert("to".into(), Value::from_iter(self.to.iter().map(operation)));
        }
        Value::Object(rule)
    }
}
