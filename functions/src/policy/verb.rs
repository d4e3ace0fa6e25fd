//! What a call does, and what can be known of it: the one table of which fields of a rule each verb has. The reader
//! refuses by it what could never match, the router judges by it, so that the two cannot differ.

use super::{ConditionKey, Operation, Rule, Source};
use crate::manifest::Kind;

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
    /// `egress`: a function calling out of the mesh, or a trigger delivering there.
    Egress,
    /// `read`: look at resources, events and decisions.
    Read,
    /// `apply`: change resources.
    Apply,
    /// `operate`: redrive, replay, drain.
    Operate,
}

/// What a rule may look at, one for each key of `source` and `operation` without its `not…` form, and each family of keys
/// of `when`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleField {
    /// `principals`, `source.principal`.
    Principals,
    /// `requestPrincipals`.
    RequestPrincipals,
    /// `namespaces`, `source.namespace`.
    Namespaces,
    /// `origins`, `origin.principal`.
    Origins,
    /// `ipBlocks`.
    IpBlocks,
    /// `hosts`.
    Hosts,
    /// `methods`.
    Methods,
    /// `paths`.
    Paths,
    /// `topics`.
    Topics,
    /// `functions`.
    Functions,
    /// `types`.
    Types,
    /// `sources`.
    Sources,
    /// `request.headers`.
    Headers,
    /// `request.auth`.
    Auth,
    /// `event.attributes`.
    EventAttributes,
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

    /// The verbs of traffic: what a rule that names none is about. Administration is meant only by rules that say so, so
    /// that a policy about who may call cannot give away, or shut out, who may administrate.
    pub const TRAFFIC: [Self; 5] = [Self::Request, Self::Publish, Self::Consume, Self::Deliver, Self::Egress];

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

    /// Whether the verb can be done to a resource of this kind at all. A trigger's egress is its delivery to a `url`.
    pub const fn applies_to(self, kind: Kind) -> bool {
        match self {
            Self::Request => matches!(kind, Kind::Function),
            Self::Egress => matches!(kind, Kind::Function | Kind::Trigger),
            Self::Publish => matches!(kind, Kind::Topic),
            Self::Consume => matches!(kind, Kind::Topic | Kind::Trigger),
            Self::Deliver => matches!(kind, Kind::Function | Kind::Trigger),
            Self::Read | Self::Apply | Self::Operate => true,
        }
    }

    /// Whether a call of this verb has what the field looks at. A rule does not apply to a call that lacks one of its
    /// fields, be it in a `not…` list.
    pub const fn has(self, field: RuleField) -> bool {
        let admin = matches!(self, Self::Read | Self::Apply | Self::Operate);
        match field {
            RuleField::Principals | RuleField::Namespaces | RuleField::Origins => true,
            // On a delivery: of the publisher, from the event's envelope.
            RuleField::RequestPrincipals | RuleField::Auth => {
                admin || matches!(self, Self::Request | Self::Publish | Self::Deliver)
            }
            RuleField::IpBlocks => admin || matches!(self, Self::Request | Self::Publish),
            RuleField::Hosts | RuleField::Headers => matches!(self, Self::Request | Self::Egress),
            RuleField::Methods | RuleField::Paths => matches!(self, Self::Request | Self::Deliver | Self::Egress),
            RuleField::Topics => admin || matches!(self, Self::Publish | Self::Consume),
            RuleField::Functions => admin || matches!(self, Self::Request | Self::Deliver | Self::Egress),
            RuleField::Types | RuleField::Sources | RuleField::EventAttributes => {
                matches!(self, Self::Publish | Self::Deliver)
            }
        }
    }
}

impl RuleField {
    /// Every field, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Principals,
        Self::RequestPrincipals,
        Self::Namespaces,
        Self::Origins,
        Self::IpBlocks,
        Self::Hosts,
        Self::Methods,
        Self::Paths,
        Self::Topics,
        Self::Functions,
        Self::Types,
        Self::Sources,
        Self::Headers,
        Self::Auth,
        Self::EventAttributes,
    ];

    /// The key in a manifest, or how the keys of its family begin.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principals => "principals",
            Self::RequestPrincipals => "requestPrincipals",
            Self::Namespaces => "namespaces",
            Self::Origins => "origins",
            Self::IpBlocks => "ipBlocks",
            Self::Hosts => "hosts",
            Self::Methods => "methods",
            Self::Paths => "paths",
            Self::Topics => "topics",
            Self::Functions => "functions",
            Self::Types => "types",
            Self::Sources => "sources",
            Self::Headers => "request.headers",
            Self::Auth => "request.auth",
            Self::EventAttributes => "event.attributes",
        }
    }
}

impl Source {
    /// The fields it looks at.
    pub fn fields(&self) -> impl Iterator<Item = RuleField> {
        let used = [
            (RuleField::Principals, !self.principals.is_empty()),
            (RuleField::RequestPrincipals, !self.request_principals.is_empty()),
            (RuleField::Namespaces, !self.namespaces.is_empty()),
            (RuleField::Origins, !self.origins.is_empty()),
            (RuleField::IpBlocks, !self.ip_blocks.is_empty()),
        ];
        used.into_iter().filter_map(|(field, used)| used.then_some(field))
    }

    /// Whether a call of this verb has all it looks at.
    pub fn applies_to(&self, verb: Verb) -> bool {
        self.fields().all(|field| verb.has(field))
    }
}

impl Operation {
    /// The fields it looks at, beside the verb.
    pub fn fields(&self) -> impl Iterator<Item = RuleField> {
        let used = [
            (RuleField::Hosts, !self.hosts.is_empty()),
            (RuleField::Methods, !self.methods.is_empty()),
            (RuleField::Paths, !self.paths.is_empty()),
            (RuleField::Topics, !self.topics.is_empty()),
            (RuleField::Functions, !self.functions.is_empty()),
            (RuleField::Types, !self.types.is_empty()),
            (RuleField::Sources, !self.sources.is_empty()),
        ];
        used.into_iter().filter_map(|(field, used)| used.then_some(field))
    }

    /// The verbs that it names, or else those of traffic.
    pub fn meant(&self) -> &[Verb] {
        if self.verbs.is_empty() { &Verb::TRAFFIC } else { &self.verbs }
    }

    /// Whether it is about this verb, and a call of it has all that it looks at.
    pub fn applies_to(&self, verb: Verb) -> bool {
        self.meant().contains(&verb) && self.fields().all(|field| verb.has(field))
    }
}

impl ConditionKey {
    /// The field it looks at.
    pub const fn field(&self) -> RuleField {
        match self {
            Self::Header(_) => RuleField::Headers,
            Self::SourcePrincipal => RuleField::Principals,
            Self::SourceNamespace => RuleField::Namespaces,
            Self::OriginPrincipal => RuleField::Origins,
            Self::AuthPrincipal | Self::AuthAudiences | Self::AuthPresenter | Self::AuthClaim(_) => RuleField::Auth,
            Self::EventAttribute(_) => RuleField::EventAttributes,
        }
    }
}

impl Rule {
    /// Whether some call of this verb may match: the verb is meant, and has every field of all of `when`, of one of
    /// `from`, and of one of `to`.
    pub fn applies_to(&self, verb: Verb) -> bool {
        let meant = match self.to.is_empty() {
            true => Verb::TRAFFIC.contains(&verb),
            false => self.to.iter().any(|operation| operation.applies_to(verb)),
        };
        meant
            && self.when.iter().all(|condition| verb.has(condition.key.field()))
            && (self.from.is_empty() || self.from.iter().any(|source| source.applies_to(verb)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the documentation: which verbs have which field.
    #[test]
    fn fields_of_each_verb() {
        use RuleField as F;
        let all = "request publish consume deliver egress read apply operate";
        let check = |fields: &[RuleField], expect: &str| {
            for field in fields {
                let having: Vec<_> = Verb::ALL.into_iter().filter(|verb| verb.has(*field)).map(Verb::as_str).collect();
                assert_eq!(having.join(" "), expect, "{field:?}");
            }
        };
        check(&[F::Principals, F::Namespaces, F::Origins], all);
        check(&[F::RequestPrincipals, F::Auth], "request publish deliver read apply operate");
        check(&[F::IpBlocks], "request publish read apply operate");
        check(&[F::Hosts, F::Headers], "request egress");
        check(&[F::Methods, F::Paths], "request deliver egress");
        check(&[F::Topics], "publish consume read apply operate");
        check(&[F::Functions], "request deliver egress read apply operate");
        check(&[F::Types, F::Sources, F::EventAttributes], "publish deliver");
    }

    #[test]
    fn a_rule_without_verbs_is_about_traffic() {
        let named = |verbs: &[Verb]| Rule {
            to: vec![Operation { verbs: verbs.to_vec(), ..Operation::default() }],
            ..Rule::default()
        };
        for verb in Verb::ALL {
            let traffic = Verb::TRAFFIC.contains(&verb);
            assert_eq!(Rule::default().applies_to(verb), traffic, "{verb:?}");
            assert_eq!(named(&[]).applies_to(verb), traffic, "{verb:?}");
            assert!(named(&[verb]).applies_to(verb), "{verb:?}");
        }
    }

    #[test]
    fn kinds_of_each_verb() {
        let check = |verb: Verb, expect: &str| {
            let kinds: Vec<_> =
                Kind::ALL.into_iter().filter(|kind| verb.applies_to(*kind)).map(Kind::singular).collect();
            assert_eq!(kinds.join(" "), expect, "{verb:?}");
        };
        check(Verb::Request, "function");
        check(Verb::Publish, "topic");
        check(Verb::Consume, "topic trigger");
        check(Verb::Deliver, "function trigger");
        check(Verb::Egress, "function trigger");
        for verb in [Verb::Read, Verb::Apply, Verb::Operate] {
            check(verb, "function topic trigger policy namespace issuer");
        }
    }
}
