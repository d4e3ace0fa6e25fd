//! The resource `Policy`: who may do what to which resource, in the words of Istio's AuthorizationPolicy.
//!
//! Only the parsed rules live here; what they mean together (DENY, then ALLOW, then the default) is the router's.

mod path_match;
mod read;
mod string_match;
mod verb;

use serde_json::{Map, Value, json};

pub use path_match::PathMatch;
pub use string_match::StringMatch;
pub use verb::{RuleField, Verb};

use crate::manifest::{Kind, Location, Metadata, Reference};
use crate::value::{IpBlock, Name};

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
    /// `AUDIT`: a match is recorded and changes nothing.
    Audit,
}

impl Action {
    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
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

/// One rule: at least one of `from`, at least one of `to`, and all of `when` must match. A list that was left out is empty
/// and does not narrow; a list written as `[]` is refused, so that a template that yields nothing never opens a rule to
/// everyone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// Who calls.
    pub from: Vec<Source>,
    /// What they do.
    pub to: Vec<Operation>,
    /// What else must hold.
    pub when: Vec<Condition>,
}

/// Values of which one must match, and values of which none may. Both empty: does not narrow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<T> {
    /// One of these must match.
    pub any: Vec<T>,
    /// None of these may match (`not…`).
    pub none: Vec<T>,
}

impl<T> Default for Match<T> {
    fn default() -> Self {
        Self { any: Vec::new(), none: Vec::new() }
    }
}

impl<T> Match<T> {
    /// Whether it matches everything, because nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.none.is_empty()
    }
}

/// Who calls. All given fields must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Source {
    /// `principals`, `notPrincipals`: SPIFFE ids of who emitted the message.
    pub principals: Match<StringMatch>,
    /// `requestPrincipals`, `notRequestPrincipals`: `<iss>/<sub>` of a verified token.
    pub request_principals: Match<StringMatch>,
    /// `namespaces`, `notNamespaces`: the namespace in the principal's SPIFFE id.
    pub namespaces: Match<StringMatch>,
    /// `origins`, `notOrigins`: who began the chain.
    pub origins: Match<StringMatch>,
    /// `ipBlocks`, `notIpBlocks`: the address of the connection.
    pub ip_blocks: Match<IpBlock>,
}

/// What is done. All given fields must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operation {
    /// One of these; empty is every verb.
    pub verbs: Vec<Verb>,
    /// `hosts`, `notHosts`: the host that is called; case-insensitive. Verbs request and egress.
    pub hosts: Match<StringMatch>,
    /// `methods`, `notMethods`: verbs request, deliver and egress.
    pub methods: Match<StringMatch>,
    /// `paths`, `notPaths`: the canonical path. Verbs request, deliver and egress.
    pub paths: Match<PathMatch>,
    /// `topics`, `notTopics`: the name of the topic that is the target.
    pub topics: Match<StringMatch>,
    /// `functions`, `notFunctions`: the name of the function that is the target.
    pub functions: Match<StringMatch>,
    /// `types`, `notTypes`: the event's type. Verbs publish and deliver.
    pub types: Match<StringMatch>,
    /// `sources`, `notSources`: the event's source. Verbs publish and deliver.
    pub sources: Match<StringMatch>,
}

/// A further condition: the values of what `key` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// What is looked at.
    pub key: ConditionKey,
    /// `values`, `notValues`.
    pub values: Match<StringMatch>,
}

/// What a condition looks at. Each is Istio's, but for `origin.principal` and `event.attributes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionKey {
    /// `request.headers[NAME]`, lower case: every value of the header. Verbs request and egress.
    Header(String),
    /// `source.principal`.
    SourcePrincipal,
    /// `source.namespace`.
    SourceNamespace,
    /// `origin.principal`.
    OriginPrincipal,
    /// `request.auth.principal`: `<iss>/<sub>`.
    AuthPrincipal,
    /// `request.auth.audiences`.
    AuthAudiences,
    /// `request.auth.presenter`: `azp`.
    AuthPresenter,
    /// `request.auth.claims[a][b]`: a string, or a list of strings.
    AuthClaim(Vec<String>),
    /// `event.attributes[NAME]`: any attribute of the event. Verbs publish and deliver.
    EventAttribute(String),
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
        let source = |source: &Source| {
            let mut fields = Map::new();
            put(&mut fields, "principals", "notPrincipals", &source.principals);
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

/// Writes what narrows and nothing else: an explicit empty list is refused when read.
fn put<T: ToString>(fields: &mut Map<String, Value>, any: &str, none: &str, values: &Match<T>) {
    for (key, list) in [(any, &values.any), (none, &values.none)] {
        if !list.is_empty() {
            fields.insert(key.into(), Value::from_iter(list.iter().map(ToString::to_string)));
        }
    }
}
