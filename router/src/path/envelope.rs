//! What a topic keeps beside an event, so that a later decision needs nothing else: who published it, who began the chain,
//! how that was proven, what the publisher's token said, when it was admitted, and how long the chain is. It is written by
//! us alone and never taken from the event's attributes: an attribute's name has letters and digits only (CloudEvents 1.0,
//! "Naming conventions"), ours have a slash. A keyed [`proof`] binds it to the event and its topic.

mod fields;
pub mod keys;
mod proof;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arc_swap::ArcSwap;
use weft_eventlog::{Clock, Record};
use weft_functions::event::{Event, EventError};
use weft_functions::value::Namespaced;

use self::keys::KeyRing;
use super::caller::{Caller, Proof};
use super::outcome::{Failure, Reason};
use super::spiffe::TrustDomain;

/// Who stands behind a kept event.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// Who published it, for whom, and through what; known by this envelope.
    pub caller: Caller,
    /// How the publisher was proven when the event was admitted.
    pub admitted_by: Proof,
    /// When that was, in milliseconds since 1970.
    pub admitted_ms: u64,
    /// How many calls and events lie before it.
    pub hops: u8,
}

/// Why a kept record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Written by a newer version.
    #[error("the record needs a reader of format {0:?}; start the newer version of weft")]
    Newer(String),
    /// Nothing shows that we wrote it like this: it was altered, moved here, or never sealed.
    #[error("the record's envelope is not proven: {0}")]
    Unproven(&'static str),
    /// A field of ours is missing or not what this version writes.
    #[error("the record's {0} is missing or not readable by this version")]
    Field(&'static str),
    /// The event itself is not valid.
    #[error("the record's event is not valid: {0}")]
    Event(#[from] EventError),
}

impl EnvelopeError {
    /// The reason for which the event is not delivered.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unproven(_) => Reason::EnvelopeUnproven,
            Self::Newer(_) | Self::Field(_) | Self::Event(_) => Reason::EventInvalid,
        }
    }
}

impl From<&EnvelopeError> for Failure {
    fn from(error: &EnvelopeError) -> Self {
        Self::hidden(error.reason(), error.to_string())
    }
}

/// Seals and opens envelopes, with the keys of this node.
pub struct Envelopes {
    ring: ArcSwap<KeyRing>,
    trust_domain: TrustDomain,
    clock: Arc<dyn Clock>,
}

impl Envelopes {
    /// Envelopes of a trust domain, sealed with the newest key of `ring`.
    pub fn new(ring: KeyRing, trust_domain: TrustDomain, clock: Arc<dyn Clock>) -> Self {
        Self { ring: ArcSwap::from_pointee(ring), trust_domain, clock }
    }

    /// Seals with other keys from now on.
    pub fn rotate(&self, ring: KeyRing) {
        self.ring.store(Arc::new(ring));
    }

    /// Begins to seal what `caller` publishes to `topic` after `hops` calls and events. Of the caller's token, the claims
    /// named by `keep` are kept.
    pub fn seal<'a>(&self, topic: &'a Namespaced, caller: &Caller, hops: u8, keep: &[String]) -> Seal<'a> {
        let fields = fields::of(caller, self.clock.now_ms(), hops, keep);
        Seal { ring: self.ring.load_full(), trust_domain: self.trust_domain.clone(), topic, fields }
    }

    /// The event and its envelope, from a record of `topic`. The proof is looked at before anything else.
    ///
    /// # Errors
    /// The proof does not hold, or this version cannot read what it proves.
    pub fn open(&self, topic: &Namespaced, record: &Record) -> Result<(Event, Envelope), EnvelopeError> {
        let ring = self.ring.load();
        match fields::version(&record.headers)? {
            // Version 1 had no proof. Its records are read where they can only be our own: admitted before there were
            // keys, by the word of the log.
            fields::Version::One if record.admitted_ms < ring.since_ms() => {}
            fields::Version::One => return Err(EnvelopeError::Unproven("it has no proof")),
            fields::Version::Two => proof::check(&ring, &self.trust_domain, topic, &record.headers, &record.body)?,
        }
        Ok((event(record)?, fields::read(&record.headers, record.admitted_ms)?))
    }
}

/// Seals the events of one publish.
pub struct Seal<'a> {
    ring: Arc<KeyRing>,
    trust_domain: TrustDomain,
    topic: &'a Namespaced,
    fields: Vec<(String, String)>,
}

impl Seal<'_> {
    /// The headers of the event's record: the envelope's fields, the event's attributes, the proof.
    pub fn seal(&self, event: &Event) -> Vec<(String, String)> {
        let mut headers = self.fields.clone();
        if event.data().is_none() {
            headers.push((fields::NO_DATA.to_owned(), String::new()));
        }
        headers.extend(event.to_fields());
        let data = event.data().map_or(&[][..], |data| data);
        let proof = proof::of(&self.ring, &self.trust_domain, self.topic, &headers, data);
        headers.push((fields::PROOF.to_owned(), proof));
        headers
    }
}

/// A caller as it will be known when its event is delivered from a topic that keeps the claims named by `keep`.
pub fn remembered(caller: &Caller, keep: &[String]) -> Caller {
    let token = caller.token.as_ref().and_then(|token| fields::kept(token, keep)).map(Arc::new);
    Caller { how: Proof::Event, token, address: None, ..caller.clone() }
}

/// The event of a record, whoever may stand behind it.
///
/// # Errors
/// It is not a valid event.
pub fn event(record: &Record) -> Result<Event, EventError> {
    let attributes = record.headers.iter().filter(|(name, _)| !name.contains('/'));
    let has_data = !record.headers.iter().any(|(name, _)| name == fields::NO_DATA);
    let data = has_data.then(|| record.body.clone());
    Event::from_fields(attributes.map(|(name, value)| (name.as_str(), value.as_str())), data)
}
