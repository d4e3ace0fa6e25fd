//! The proof of an envelope: a keyed MAC over the trust domain, the topic, every other header of the record and the
//! event's data, tagged with its algorithm and the id of its key. Whoever can write to the log but has no key can neither
//! alter a record nor move it to another topic. A MAC suffices inside one trust domain; an event that leaves it needs a
//! signature, which the tag has room for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use weft_functions::value::Namespaced;

use super::keys::{HmacSha256, KeyRing};
use super::{EnvelopeError, fields};
use crate::path::spiffe::TrustDomain;

/// HMAC with SHA-256 (RFC 2104).
const ALGORITHM: &str = "hs256";

/// What the MAC is over begins with this, so that no other MAC made with the key means the same.
const PURPOSE: &[u8] = b"weft envelope";

/// The proof for a record with these headers and data, by the newest key.
pub(super) fn of(
    ring: &KeyRing,
    trust_domain: &TrustDomain,
    topic: &Namespaced,
    headers: &[(String, String)],
    data: &[u8],
) -> String {
    let key = ring.newest();
    let mut mac = key.mac();
    feed(&mut mac, trust_domain, topic, &sorted(headers), data);
    format!("{ALGORITHM} {} {}", key.id(), URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Whether the record's proof holds.
pub(super) fn check(
    ring: &KeyRing,
    trust_domain: &TrustDomain,
    topic: &Namespaced,
    headers: &[(String, String)],
    data: &[u8],
) -> Result<(), EnvelopeError> {
    let unproven = EnvelopeError::Unproven;
    let proof = fields::field(headers, fields::PROOF).map_err(|_| unproven("it has no proof"))?;
    let mut parts = proof.split(' ');
    let (Some(ALGORITHM), Some(id), Some(tag), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(unproven("its proof is of no kind that this version knows"));
    };
    let key = ring.get(id).ok_or(unproven("its key is not one of this node's"))?;
    let tag = URL_SAFE_NO_PAD.decode(tag).map_err(|_| unproven("its proof is malformed"))?;
    let sorted = sorted(headers);
    // Readers take the first of two fields; which of them the writer meant nobody could say.
    let twice = sorted.array_windows().any(|[(one, _), (other, _)]| one == other);
    if twice || sorted.len() + 1 != headers.len() {
        return Err(unproven("it has a field twice"));
    }
    let mut mac = key.mac();
    feed(&mut mac, trust_domain, topic, &sorted, data);
    mac.verify_slice(&tag).map_err(|_| unproven("it was altered, or belongs to another topic or trust domain"))
}

/// By name, because a log need not keep the order of headers; without the proof itself.
fn sorted(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    let others = headers.iter().filter(|(name, _)| name != fields::PROOF);
    let mut sorted: Vec<_> = others.map(|(name, value)| (name.as_str(), value.as_str())).collect();
    sorted.sort_unstable();
    sorted
}

/// Each part with its length before it, so that no two lists of parts feed the same bytes.
fn feed(mac: &mut HmacSha256, trust_domain: &TrustDomain, topic: &Namespaced, fields: &[(&str, &str)], data: &[u8]) {
    let mut part = |bytes: &[u8]| {
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    part(PURPOSE);
    part(trust_domain.as_str().as_bytes());
    part(topic.namespace.as_str().as_bytes());
    part(topic.name.as_str().as_bytes());
    part(&(fields.len() as u64).to_be_bytes());
    for (name, value) in fields {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    part(data);
}
