//! What a topic keeps beside an event: who published it, who began the chain, and how long the chain is. The envelope is
//! the whole input of a later decision, so it is written by us alone and never taken from the event's attributes: an
//! attribute's name has letters and digits only (CloudEvents 1.0, "Naming conventions"), ours have a slash.

use weft_functions::event::{Event, EventError};

use super::caller::{Caller, Principal, Proof};

const VERSION: &str = "1";
const VERSION_FIELD: &str = "weft/envelope";
const PRINCIPAL_FIELD: &str = "weft/principal";
const ORIGIN_FIELD: &str = "weft/origin";
const VIA_FIELD: &str = "weft/via";
const HOPS_FIELD: &str = "weft/hops";
/// Stands in the record of an event without data, which is not the same as one whose data is empty.
const NO_DATA_FIELD: &str = "weft/nodata";

/// Who stands behind a kept event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who published it, for whom, and through what.
    pub caller: Caller,
    /// How many calls and events lie before it.
    pub hops: u8,
}

/// Why a kept record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A field of ours is missing or not what this version writes.
    #[error("the record's {0} is missing or not readable by this version")]
    Field(&'static str),
    /// The event itself is not valid.
    #[error("the record's event is not valid: {0}")]
    Event(#[from] EventError),
}

/// The record's headers: the envelope's fields, then the event's attributes.
pub fn seal(event: &Event, envelope: &Envelope) -> Vec<(String, String)> {
    let mut headers = vec![
        (VERSION_FIELD.to_owned(), VERSION.to_owned()),
        (PRINCIPAL_FIELD.to_owned(), envelope.caller.principal.to_string()),
        (ORIGIN_FIELD.to_owned(), envelope.caller.origin.to_string()),
        (HOPS_FIELD.to_owned(), envelope.hops.to_string()),
    ];
    if let Some(via) = &envelope.caller.via {
        headers.push((VIA_FIELD.to_owned(), via.to_string()));
    }
    if event.data().is_none() {
        headers.push((NO_DATA_FIELD.to_owned(), String::new()));
    }
    headers.extend(event.to_fields());
    headers
}

/// The event and its envelope from a record's headers and body.
pub fn open(headers: &[(String, String)], body: bytes::Bytes) -> Result<(Event, Envelope), EnvelopeError> {
    let field = |name: &'static str| {
        let found = headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).ok_or(EnvelopeError::Field(name))
    };
    if field(VERSION_FIELD)? != VERSION {
        return Err(EnvelopeError::Field(VERSION_FIELD));
    }
    let principal = |name| principal(field(name)?).ok_or(EnvelopeError::Field(name));
    let via = field(VIA_FIELD).ok().map(|_| principal(VIA_FIELD)).transpose()?;
    let (origin, how) = (principal(ORIGIN_FIELD)?, Proof::Event);
    let caller = Caller { principal: principal(PRINCIPAL_FIELD)?, origin, via, how, token: None, address: None };
    let hops = field(HOPS_FIELD)?.parse().map_err(|_| EnvelopeError::Field(HOPS_FIELD))?;
    let attributes = headers.iter().filter(|(key, _)| !key.contains('/'));
    let data = field(NO_DATA_FIELD).is_err().then_some(body);
    let event = Event::from_fields(attributes.map(|(key, value)| (key.as_str(), value.as_str())), data)?;
    Ok((event, Envelope { caller, hops }))
}

fn principal(text: &str) -> Option<Principal> {
    text.parse().ok().map(Principal::Workload)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::caller::workload;

    fn event() -> Event {
        let event = Event::builder().id("1").source("/s").ty("t").extension("weft", "x").data("{}");
        event.build().expect("an event")
    }

    #[test]
    fn what_is_sealed_opens_alike() {
        let caller = Caller {
            origin: workload("spiffe://a/ns/b/sa/d"),
            via: Some(workload("spiffe://a/ns/b/trigger/e")),
            ..Caller::direct(workload("spiffe://a/ns/b/fn/c"), Proof::Event)
        };
        for via in [None, caller.via.clone()] {
            let envelope = Envelope { caller: Caller { via, ..caller.clone() }, hops: 3 };
            let opened = open(&seal(&event(), &envelope), "{}".into()).expect("opens");
            assert_eq!(opened.1, envelope);
            assert_eq!(opened.0.id(), "1");
            assert_eq!(opened.0.extension("weft"), Some("x"));
        }
    }

    #[test]
    fn a_record_of_another_version_is_not_guessed_at() {
        let envelope = Envelope { caller: Caller::direct(workload("spiffe://a/p"), Proof::Mtls), hops: 0 };
        let sealed = seal(&event(), &envelope);
        let mut newer = sealed.clone();
        newer[0].1 = "2".to_owned();
        assert!(open(&newer, "".into()).is_err());
        for missing in 0..4 {
            let mut less = sealed.clone();
            less.remove(missing);
            assert!(open(&less, "".into()).is_err(), "without field {missing}");
        }
    }
}
