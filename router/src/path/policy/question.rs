//! What is asked: a verb, a target, a caller, and what the verb has beside them. Borrowed from the call, so that asking
//! costs nothing; the same questions are asked of a dry run and of what was kept of a call of the past.

use http::{HeaderMap, Request};
use weft_functions::event::Event;
use weft_functions::policy::Verb;
use weft_functions::value::{Name, Namespaced};
use weft_runtime::Body;

use super::kept::Known;
use crate::path::call::{Call, Target};
use crate::path::caller::{Caller, Token};

/// What [`super::decide`] reads of a call.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// What the caller wants to do.
    pub verb: Verb,
    /// To what.
    pub target: &'a Target,
    /// Who asks.
    pub caller: &'a Caller,
    /// The head of the request; `None` where there is none, as for `consume`.
    pub head: Option<Head<'a>>,
    /// The attributes of the event; `None` until it is read, or where there is none.
    pub event: Option<Attributes<'a>>,
    /// The trigger on whose behalf it happens, if a delivery does.
    pub trigger: Option<&'a Namespaced>,
    /// Whether the event was admitted before and is only copied, as a dead letter is: its source was judged then.
    pub copy: bool,
    /// What of all this is known, if not everything: of a call of the past only what was kept.
    pub known: Option<&'a Known>,
}

/// The head of a request in its one canonical meaning.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The host without its port.
    pub host: &'a str,
    /// The method, as it was written.
    pub method: &'a str,
    /// The canonical path, without the query.
    pub path: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

/// An event's attributes.
#[derive(Debug, Clone, Copy)]
pub enum Attributes<'a> {
    /// Of an event at hand.
    Of(&'a Event),
    /// Names and values.
    Listed(&'a [(String, String)]),
}

impl<'a> Question<'a> {
    /// The question that a call asks before its events are known.
    pub fn of(call: &'a Call) -> Self {
        Self {
            verb: call.verb,
            target: &call.target,
            caller: &call.caller,
            head: Some(Head::of(&call.request)),
            event: None,
            trigger: call.cause.as_deref().map(|cause| cause.trigger()),
            copy: call.cause.as_deref().is_some_and(|cause| cause.is_copy()),
            known: None,
        }
    }

    /// The same question about one of the call's events.
    #[must_use]
    pub fn about(self, event: &'a Event) -> Self {
        Self { event: Some(Attributes::Of(event)), ..self }
    }

    /// The namespace whose policies are asked, beside the mesh's own: the one that owns what is reached for.
    pub fn namespace(&self) -> Option<&'a Name> {
        match self.target {
            Target::Function(name) | Target::Topic(name) | Target::Subscription(name) => Some(&name.namespace),
            Target::Outside(outside) => Some(&outside.owner.namespace),
            Target::Resource(id) => Some(&id.namespace),
            Target::Namespace(name) => Some(name),
            Target::Nowhere(_) => None,
        }
    }

    /// The caller's token, where what its Issuer says means anything to the target.
    pub fn token(&self) -> Option<&'a Token> {
        let namespace = self.namespace()?;
        self.caller.token.as_deref().filter(|token| token.subject.counts_in(namespace))
    }
}

impl<'a> Head<'a> {
    /// Of a request whose URI is canonical and absolute.
    pub fn of(request: &'a Request<Body>) -> Self {
        #[cfg(not(weft_defects))]
        let path = request.uri().path();
        #[cfg(weft_defects)]
        let path = crate::path::seeded::judged_path(request);
        Self {
            host: request.uri().host().unwrap_or_default(),
            method: request.method().as_str(),
            path,
            headers: request.headers(),
        }
    }
}

impl<'a> Attributes<'a> {
    /// The attribute's value.
    pub fn get(self, name: &str) -> Option<&'a str> {
        match self {
            Self::Of(event) => event.attribute(name),
            Self::Listed(list) => list.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()),
        }
    }
}
