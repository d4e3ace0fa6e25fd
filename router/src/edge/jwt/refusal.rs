//! Why a token is not taken. A type of its own because a reader must branch on it: several Issuers may claim one token,
//! and the most helpful of their answers is given.

use std::borrow::Cow;

use crate::path::outcome::{Failure, Reason};

/// Why a token is not taken, with a sentence for operators. Callers learn the reason's code only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is malformed, forged, or not for us.
    Invalid(Cow<'static, str>),
    /// It was good until some time ago.
    Expired(Cow<'static, str>),
    /// Its issuer's keys cannot be had now, so nobody can tell.
    Unavailable(Cow<'static, str>),
}

impl Refusal {
    pub(super) fn invalid(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(why.into())
    }

    /// Of two Issuers' answers to one token, the one that says more: one that could not judge might have taken it, and
    /// one that finds it expired knows its signature.
    pub(super) fn or(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    fn weight(&self) -> u8 {
        match self {
            Self::Invalid(_) => 0,
            Self::Expired(_) => 1,
            Self::Unavailable(_) => 2,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(why) => Self::hidden(Reason::AuthnInvalid, why),
            Refusal::Expired(why) => Self::hidden(Reason::AuthnExpired, why),
            Refusal::Unavailable(why) => Self::hidden(Reason::AuthnUnavailable, why),
        }
    }
}
