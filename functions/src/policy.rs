//! The resource `Policy`: who may do what to which resource, in the words of Istio's AuthorizationPolicy.
//!
//! Only the parsed rules live here; what they mean together (DENY, then ALLOW, then the default) is the router's.

mod condition_key;
mod never;
mod path_match;
mod read;
mod string_match;
mod verb;
mod write;

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
    /// Where each rule of the spec begins, in their order. Beside the spec, because a policy that only moved is the same.
    pub rule_locations: Vec<Location>,
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
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::Audit];

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
    /// One of these; empty is every verb of traffic ([`Verb::TRAFFIC`]).
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

impl Policy {
    /// The lines of the rules, in their order, for whoever keeps the spec as JSON, which has no lines.
    pub fn rule_lines(&self) -> Vec<u32> {
        self.rule_locations.iter().map(|location| location.line).collect()
    }

    /// Says on which lines the rules stand, for whoever reads the spec from JSON. Lines that are not one for each rule are
    /// not taken: then every rule stands where the document begins.
    #[must_use]
    pub fn with_rule_lines(&self, lines: &[u32]) -> Self {
        if lines.len() != self.rule_locations.len() {
            return self.clone();
        }
        let file = &self.location.file;
        let rule_locations = lines.iter().map(|line| Location { file: file.clone(), line: *line, column: 1 }).collect();
        Self { rule_locations, ..self.clone() }
    }
}

#[cfg(test)]
mod tests;
