//! What a rule can look at, and where in a question that stands. The one place that knows how a value is found; what a
//! rule wants of it is decided next door.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::header::{GetAll, HeaderName, HeaderValue};
use serde_json::Value;
use weft_functions::manifest::Kind;
use weft_functions::policy::ConditionKey;

use super::question::Question;
use crate::path::call::Target;
use crate::path::caller::{Principal, Token};

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Field {
    /// The workload that emitted the message.
    Principal,
    /// Its namespace.
    Namespace,
    /// Who began the chain.
    Origin,
    /// The subject of the token.
    AuthPrincipal,
    /// Its audiences.
    AuthAudiences,
    /// To whom it was given.
    AuthPresenter,
    /// One of its claims, by its path.
    AuthClaim(Box<[String]>),
    /// The address of the connection.
    Address,
    /// The host that is called.
    Host,
    /// The method.
    Method,
    /// The canonical path.
    Path,
    /// A header.
    Header(HeaderName),
    /// The name of the topic that is the target.
    Topic,
    /// The name of the function that is the target, or that reaches outside.
    Function,
    /// An attribute of the event.
    Attribute(Cow<'static, str>),
}

/// What is found in a question.
pub(super) enum Seen<'q> {
    /// One text.
    Text(&'q str),
    /// An address.
    Address(IpAddr),
    /// The values of a header, at least one.
    Headers(GetAll<'q, HeaderValue>),
    /// The members of a claim that is a list of strings.
    Claims(&'q [Value]),
    /// The token's audiences.
    Audiences(&'q [Arc<str>]),
    /// The call has no such value.
    Absent,
    /// Nobody has shown an identity that could have it.
    Nobody,
    /// There is a value of a kind that no rule can compare.
    Malformed,
    /// There may be one; it is not known (yet).
    Unknown,
}

impl Field {
    /// What a condition looks at; `None` for a header that no message can have.
    pub(super) fn of(key: &ConditionKey) -> Option<Self> {
        Some(match key {
            ConditionKey::Header(name) => Self::Header(HeaderName::from_bytes(name.as_bytes()).ok()?),
            ConditionKey::SourcePrincipal => Self::Principal,
            ConditionKey::SourceNamespace => Self::Namespace,
            ConditionKey::OriginPrincipal => Self::Origin,
            ConditionKey::AuthPrincipal => Self::AuthPrincipal,
            ConditionKey::AuthAudiences => Self::AuthAudiences,
            ConditionKey::AuthPresenter => Self::AuthPresenter,
            ConditionKey::AuthClaim(path) => Self::AuthClaim(path.as_slice().into()),
            ConditionKey::EventAttribute(name) => Self::Attribute(name.clone().into()),
        })
    }

    /// Whether it is read of an event, which a publish sends in its body.
    pub(super) fn is_of_event(&self) -> bool {
        matches!(self, Self::Attribute(_))
    }

    /// Whether a call has at most one value of it, a text.
    pub(super) fn is_one_text(&self) -> bool {
        !matches!(self, Self::Address | Self::Header(_) | Self::AuthClaim(_) | Self::AuthAudiences)
    }

    /// Finds the value.
    pub(super) fn read<'q>(&self, question: &Question<'q>) -> Seen<'q> {
        if question.known.is_some_and(|known| !known.has(self)) {
            return Seen::Unknown;
        }
        let caller = question.caller;
        match self {
            Self::Principal => text_or(caller.principal.workload().map(|id| id.as_str()), Seen::Nobody),
            Self::Namespace => match caller.principal.workload() {
                Some(id) => text_or(id.namespace(), Seen::Absent),
                None => Seen::Nobody,
            },
            Self::Origin => text_or(counting(&caller.origin, question), Seen::Nobody),
            Self::AuthPrincipal => text_or(subject(question), Seen::Nobody),
            Self::AuthAudiences => with_token(question, |token| match token.audiences.as_slice() {
                [] => Seen::Absent,
                some => Seen::Audiences(some),
            }),
            Self::AuthPresenter => with_token(question, |token| text_or(token.presenter.as_deref(), Seen::Absent)),
            Self::AuthClaim(path) => with_token(question, |token| claim(token, path)),
            Self::Address => caller.address.map_or(Seen::Absent, Seen::Address),
            Self::Host => text_or(question.head.map(|head| head.host), Seen::Absent),
            Self::Method => text_or(question.head.map(|head| head.method), Seen::Absent),
            Self::Path => text_or(question.head.map(|head| head.path), Seen::Absent),
            Self::Header(name) => {
                let values = question.head.map(|head| head.headers.get_all(name));
                values.filter(|values| values.iter().next().is_some()).map_or(Seen::Absent, Seen::Headers)
            }
            Self::Topic => text_or(name_of(question, Kind::Topic), Seen::Absent),
            Self::Function => text_or(name_of(question, Kind::Function), Seen::Absent),
            Self::Attribute(name) => match question.event {
                Some(event) => text_or(event.get(name), Seen::Absent),
                None => Seen::Unknown,
            },
        }
    }
}

impl fmt::Display for Field {
    /// What the value is called in explanations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal => f.write_str("principal"),
            Self::Namespace => f.write_str("namespace"),
            Self::Origin => f.write_str("origin"),
            Self::AuthPrincipal => f.write_str("request principal"),
            Self::AuthAudiences => f.write_str("audience"),
            Self::AuthPresenter => f.write_str("presenter"),
            Self::AuthClaim(path) => write!(f, "claim {}", path.join(".")),
            Self::Address => f.write_str("address"),
            Self::Host => f.write_str("host"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::Topic => f.write_str("topic"),
            Self::Function => f.write_str("function"),
            Self::Attribute(name) => write!(f, "attribute {name}"),
        }
    }
}

fn text_or<'q>(text: Option<&'q str>, or: Seen<'q>) -> Seen<'q> {
    text.map_or(or, Seen::Text)
}

fn with_token<'q>(question: &Question<'q>, read: impl FnOnce(&'q Token) -> Seen<'q>) -> Seen<'q> {
    question.token().map_or(Seen::Nobody, read)
}

/// The identity as text, where it means anything to the target.
fn counting<'q>(principal: &'q Principal, question: &Question<'q>) -> Option<&'q str> {
    match principal {
        Principal::Workload(id) => Some(id.as_str()),
        Principal::Subject(subject) if subject.counts_in(question.namespace()?) => Some(&subject.text),
        Principal::Subject(_) | Principal::Anonymous => None,
    }
}

/// `<iss>/<sub>` of the token, or of a principal that is known by its token alone.
fn subject<'q>(question: &Question<'q>) -> Option<&'q str> {
    match (question.token(), &question.caller.principal) {
        (Some(token), _) => Some(&token.subject.text),
        (None, principal @ Principal::Subject(_)) => counting(principal, question),
        (None, _) => None,
    }
}

/// A claim that rules can compare is a string or a list of strings.
fn claim<'q>(token: &'q Token, path: &[String]) -> Seen<'q> {
    match claim_at(token, path) {
        Ok(None) => Seen::Absent,
        Ok(Some(Value::String(text))) => Seen::Text(text),
        Ok(Some(Value::Array(list))) if list.is_empty() => Seen::Absent,
        Ok(Some(Value::Array(list))) if list.iter().all(Value::is_string) => Seen::Claims(list),
        Ok(Some(_)) | Err(NotAnObject) => Seen::Malformed,
    }
}

/// On the way to a claim there is something that has no members.
pub(super) struct NotAnObject;

/// Finds a claim by its path.
pub(super) fn claim_at<'q>(token: &'q Token, path: &[String]) -> Result<Option<&'q Value>, NotAnObject> {
    let Some((first, rest)) = path.split_first() else { return Ok(None) };
    let Some(mut value) = token.claims.get(first) else { return Ok(None) };
    for key in rest {
        let Value::Object(members) = value else { return Err(NotAnObject) };
        let Some(member) = members.get(key) else { return Ok(None) };
        value = member;
    }
    Ok(Some(value))
}

fn name_of<'q>(question: &Question<'q>, kind: Kind) -> Option<&'q str> {
    let (of, name) = match question.target {
        Target::Function(name) => (Kind::Function, &name.name),
        Target::Topic(name) | Target::Subscription(name) => (Kind::Topic, &name.name),
        Target::Outside(outside) => (outside.owner_kind, &outside.owner.name),
        Target::Resource(id) => (id.kind, &id.name),
        Target::Namespace(_) | Target::Nowhere(_) => return None,
    };
    (of == kind).then_some(name.as_str())
}
