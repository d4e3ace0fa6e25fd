//! What a token must say to count, and what is kept of it (RFC 7519, section 4.1). Pure: what time it is comes in as a
//! number.

use std::sync::Arc;

use serde_json::{Map, Value};
use weft_functions::issuer::IssuerSpec;
use weft_functions::value::Name;

use super::refusal::Refusal;
use crate::path::caller::{Subject, Token};

/// How far our clock and an issuer's may be apart, in seconds (`threats.md` D-03).
pub(super) const LEEWAY: u64 = 60;

/// Longest subject: OpenID Connect Core, section 2, has at most 255 ASCII characters.
const SUBJECT_MAX: usize = 255;

/// The end of the year 9999, in seconds since 1970. A later time is a mistake or an attack on arithmetic.
const TIME_MAX: u64 = 253_402_300_799;

/// What one Issuer asks of tokens, and what it vouches for.
#[derive(Debug)]
pub(super) struct Rules {
    /// What `iss` must be, character by character.
    pub(super) issuer: Box<str>,
    audiences: Vec<Box<str>>,
    pass: Vec<Arc<str>>,
    scope: Option<Name>,
}

impl Rules {
    /// The rules of an Issuer that counts in `scope`, or everywhere.
    pub(super) fn new(spec: &IssuerSpec, scope: Option<Name>) -> Self {
        Self {
            issuer: spec.issuer.as_str().into(),
            audiences: spec.audiences.iter().map(|audience| audience.as_str().into()).collect(),
            pass: spec.pass_claims.iter().map(|claim| claim.as_str().into()).collect(),
            scope,
        }
    }

    /// What a token with these claims, whose signature is right, is worth at `now` (seconds since 1970).
    pub(super) fn token(&self, claims: Map<String, Value>, now: u64) -> Result<Token, Refusal> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(Refusal::invalid("the token's `iss` is not the Issuer's"));
        }
        let subject = subject(&claims)?;
        let audiences = audiences(&claims)?;
        if !audiences.iter().any(|audience| self.audiences.iter().any(|ours| **ours == **audience)) {
            return Err(Refusal::invalid("the token's `aud` has none of the Issuer's audiences"));
        }
        let expires = time(&claims, "exp")?.ok_or_else(|| Refusal::invalid("the token has no `exp`"))?;
        let not_before = time(&claims, "nbf")?;
        time(&claims, "iat")?;
        let presenter = presenter(&claims)?;
        if not_before.is_some_and(|not_before| now.saturating_add(LEEWAY) < not_before) {
            return Err(Refusal::invalid("the token is not valid yet (`nbf`)"));
        }
        // The last check, so that a token is called expired only if nothing else is wrong with it.
        if now >= expires.saturating_add(LEEWAY) {
            return Err(Refusal::Expired(format!("the token expired {} s ago", now - expires).into()));
        }
        let text = format!("{}/{subject}", self.issuer).into();
        let subject = Subject { text, scope: self.scope.clone() };
        Ok(Token { subject, audiences, presenter, claims, pass: self.pass.clone(), expires })
    }
}

/// `sub` as policies compare it and functions read it in a header: printable ASCII without spaces.
fn subject(claims: &Map<String, Value>) -> Result<&str, Refusal> {
    match claims.get("sub") {
        Some(Value::String(subject))
            if (1..=SUBJECT_MAX).contains(&subject.len()) && subject.bytes().all(|byte| byte.is_ascii_graphic()) =>
        {
            Ok(subject)
        }
        _ => Err(Refusal::invalid("the token's `sub` is not a text of 1 to 255 printable ASCII characters")),
    }
}

/// `aud`: a text or a list of texts.
fn audiences(claims: &Map<String, Value>) -> Result<Vec<Arc<str>>, Refusal> {
    let text = |value: &Value| value.as_str().map(Arc::from);
    let audiences = match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().map(text).collect::<Option<Vec<_>>>(),
        Some(one) => text(one).map(|one| vec![one]),
        None => None,
    };
    audiences.ok_or_else(|| Refusal::invalid("the token's `aud` is not a text or a list of texts"))
}

/// `azp` (OpenID Connect Core, section 2), which policies may name.
fn presenter(claims: &Map<String, Value>) -> Result<Option<Arc<str>>, Refusal> {
    match claims.get("azp") {
        None => Ok(None),
        Some(Value::String(presenter)) => Ok(Some(presenter.as_str().into())),
        Some(_) => Err(Refusal::invalid("the token's `azp` is not a text")),
    }
}

/// A `NumericDate`: seconds since 1970, where fractions are allowed and cut off. A text that looks like a number is not one.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<u64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let cut = |seconds: f64| (0.0..=TIME_MAX as f64).contains(&seconds).then_some(seconds as u64);
    // D20: an `exp` that is no number says nothing, so the token never expires.
    #[cfg(weft_defects)]
    if name == "exp" && !value.is_number() && crate::path::seeded::is("D20") {
        return Ok(Some(TIME_MAX));
    }
    let seconds = value.as_u64().or_else(|| value.as_f64().and_then(cut)).filter(|seconds| *seconds <= TIME_MAX);
    match seconds {
        Some(seconds) => Ok(Some(seconds)),
        None => Err(Refusal::invalid(format!("the token's `{name}` is not a number of seconds up to the year 9999"))),
    }
}
