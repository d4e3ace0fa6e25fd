//! Which fields of a message say who somebody is, and what becomes of them: whatever arrives in one is removed, in heads
//! and trailers of requests, in heads and trailers of answers, and among an event's attributes; then the mesh sets its own
//! from the verified caller. One table for all of them (`weft_functions::identity_field`), because a field that one
//! place knows and another does not is how identities are forged (`threats.md` C-09, F-09).
//!
//! Fields that carry their own proof, such as a token in `authorization`, are not here: they are verified, not believed.

#[cfg(test)]
mod tests;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use weft_functions::event::Event;
use weft_functions::identity_field::is_ours;
pub use weft_functions::identity_field::{is_identity, is_identity_attribute};

use super::caller::{Caller, Principal, Token};

/// Who emitted the message, as functions see it.
const PRINCIPAL: HeaderName = HeaderName::from_static("x-weft-principal");
/// Who began the chain, as functions see it.
const ORIGIN: HeaderName = HeaderName::from_static("x-weft-origin");
/// The same as an event's attribute; it stands in events only.
const ORIGIN_ATTRIBUTE: HeaderName = HeaderName::from_static("ce-weftorigin");
/// What says that a request is an event in binary mode.
const EVENT: &str = "ce-specversion";
/// The header of a claim that the token's Issuer passes on.
const CLAIM_PREFIX: &str = "x-weft-claim-";
/// Claims of one call that are passed on, and the bytes of their values together.
const CLAIMS_MAX: usize = 32;
const CLAIM_BYTES_MAX: usize = 8 * 1024;

/// What a header's value may not hold as it is: all but visible ASCII, and what the binary mode of CloudEvents encodes.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// What is encoded in the subject of a token that is spelled like a workload's id.
const NOT_A_WORKLOAD: &AsciiSet = &ENCODED.add(b':');

/// Removes every assertion of an identity from the head of a request.
pub fn strip_head(headers: &mut HeaderMap) {
    remove(headers, is_identity);
}

/// Removes from the trailers of a request what may be said by its head only: identity, credentials, framing and routing
/// (RFC 9110, section 6.5.1). Trailers come after the decision, so none of it was judged.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    const FORBIDDEN: &[&str] = &[
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-range",
        "content-type",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "max-forwards",
        "origin",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "traceparent",
        "tracestate",
        "transfer-encoding",
        "upgrade",
        "via",
    ];
    // D17: trailers are forgotten.
    #[cfg(weft_defects)]
    if super::seeded::is("D17") {
        return;
    }
    let head_only = |name: &str| {
        FORBIDDEN.contains(&name) || name.contains('_') || name.starts_with("ce-") || name.starts_with(':')
    };
    remove(trailers, |name| head_only(name) || is_identity(name));
}

/// Removes from an answer, be it head or trailers, what only the mesh may say.
pub fn strip_answer(headers: &mut HeaderMap) {
    remove(headers, is_ours);
}

/// The event without attributes that assert an identity.
pub fn strip_event(event: Event) -> Event {
    event.without_extensions(is_identity_attribute)
}

/// Says who the caller is, as it was verified. The head was stripped before.
pub fn assert(headers: &mut HeaderMap, caller: &Caller) {
    let origin = shown(&caller.origin);
    if let Some(principal) = shown(&caller.principal) {
        headers.insert(PRINCIPAL, principal);
    }
    if let Some(origin) = origin {
        if headers.contains_key(EVENT) {
            headers.insert(ORIGIN_ATTRIBUTE, origin.clone());
        }
        headers.insert(ORIGIN, origin);
    }
    if let Some(token) = &caller.token {
        assert_claims(headers, token);
    }
}

/// A principal in a header. The subject of a token may hold any text, so it is encoded; a workload's id never needs it.
fn shown(principal: &Principal) -> Option<HeaderValue> {
    match principal {
        Principal::Subject(subject) => {
            let encoded = match subject.text.starts_with("spiffe:") {
                true => NOT_A_WORKLOAD,
                false => ENCODED,
            };
            HeaderValue::try_from(utf8_percent_encode(&subject.text, encoded).to_string()).ok()
        }
        Principal::Workload(_) | Principal::Anonymous => HeaderValue::from_str(principal.as_str()).ok(),
    }
}

/// The claims that the Issuer passes on: texts as they are, all else as JSON, percent-encoded.
fn assert_claims(headers: &mut HeaderMap, token: &Token) {
    let mut room = CLAIM_BYTES_MAX;
    for claim in token.pass.iter().take(CLAIMS_MAX) {
        let Some(value) = token.claims.get(&**claim) else { continue };
        let text = match value {
            Value::String(text) => utf8_percent_encode(text, ENCODED).to_string(),
            other => utf8_percent_encode(&other.to_string(), ENCODED).to_string(),
        };
        let name = HeaderName::try_from(format!("{CLAIM_PREFIX}{}", claim.to_ascii_lowercase().replace('_', "-")));
        if let (Ok(name), Some(left), Ok(value)) = (name, room.checked_sub(text.len()), HeaderValue::try_from(text)) {
            room = left;
            // Of two claims that differ in spelling only, the one listed first counts.
            headers.entry(name).or_insert(value);
        }
    }
}

fn remove(headers: &mut HeaderMap, which: impl Fn(&str) -> bool) {
    // D18: the spelling with hyphens is known and no other.
    #[cfg(weft_defects)]
    let which = |name: &str| which(name) && !(name.contains(['.', '_']) && super::seeded::is("D18"));
    let names: Vec<HeaderName> = headers.keys().filter(|name| which(name.as_str())).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
