//! A question that outlives its call: what a dry run asks, and what is kept of a call so that its decision can be derived
//! again and so that an open call can be judged again when policy changes. What was not kept is not guessed: it is
//! unknown, and a rule that would have to know it neither matches nor fails.

use http::HeaderMap;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::field::Field;
use super::question::{Attributes, Head, Question};
use crate::path::call::Target;
use crate::path::caller::Caller;

/// A [`Question`] that owns what it asks about.
#[derive(Debug, Clone)]
pub struct OwnedQuestion {
    /// What the caller wants to do.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// Who asks.
    pub caller: Caller,
    /// The head of the request, if there is one.
    pub head: Option<OwnedHead>,
    /// The event's attributes; `None` if it is not read, or there is none.
    pub event: Option<Vec<(String, String)>>,
    /// The trigger on whose behalf it happens.
    pub trigger: Option<Namespaced>,
    /// Whether the event is only copied.
    pub copy: bool,
    /// What of this is known; `None`: everything.
    pub known: Option<Known>,
}

/// A [`Head`] that owns its parts.
#[derive(Debug, Clone, Default)]
pub struct OwnedHead {
    /// The host without its port.
    pub host: String,
    /// The method.
    pub method: String,
    /// The canonical path, without the query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
}

/// What is known of a call of which not everything was kept. Whatever a rule looks at beside that is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub(super) fields: Vec<Field>,
    /// Whether the caller showed a token. Of one that did not, all that a token could say is known.
    pub(super) token: bool,
    /// Whether nothing was left out that was to be kept.
    pub(super) whole: bool,
}

impl Known {
    pub(super) fn has(&self, field: &Field) -> bool {
        let kept = |field| self.fields.contains(field);
        match field {
            Field::Topic | Field::Function => true,
            Field::Namespace => kept(&Field::Principal),
            Field::AuthAudiences | Field::AuthPresenter | Field::AuthClaim(_) if !self.token => {
                kept(&Field::AuthPrincipal)
            }
            field => kept(field),
        }
    }
}

impl OwnedQuestion {
    /// Whether it is all that was to be kept. Otherwise something found no room, and what depends on it is unknown.
    pub fn is_whole(&self) -> bool {
        self.known.as_ref().is_none_or(|known| known.whole)
    }

    /// The question itself.
    pub fn question(&self) -> Question<'_> {
        Question {
            verb: self.verb,
            target: &self.target,
            caller: &self.caller,
            head: self.head.as_ref().map(OwnedHead::head),
            event: self.event.as_deref().map(Attributes::Listed),
            trigger: self.trigger.as_ref(),
            copy: self.copy,
            known: self.known.as_ref(),
        }
    }
}

impl OwnedHead {
    fn head(&self) -> Head<'_> {
        Head { host: &self.host, method: &self.method, path: &self.path, headers: &self.headers }
    }
}
