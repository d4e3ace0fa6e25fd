//! A CloudEvent (1.0) as a function sees it: its attributes, its extensions and its data. How one looks as an HTTP
//! message stands in `event/http.rs`.

pub(crate) mod http;
mod rfc3339;

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, host};

/// A CloudEvent.
///
/// ```
/// use weft_sdk::Event;
///
/// let event = Event::new("order.created").with_subject("order-7").with_json(&serde_json::json!({ "amount": 12 }))?;
/// assert_eq!(event.json::<serde_json::Value>()?["amount"], 12);
/// # Ok::<(), weft_sdk::Error>(())
/// ```
///
/// A source and an id together name an event: publishing the same one twice within a topic's `dedupe` time is one
/// event. Say the id yourself ([`with_id`](Event::with_id)) when a retried handler must not publish its event twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: String,
    source: String,
    ty: String,
    subject: Option<String>,
    time: Option<String>,
    datacontenttype: Option<String>,
    dataschema: Option<String>,
    extensions: BTreeMap<String, String>,
    data: Vec<u8>,
}

impl Event {
    /// An event of this type, with a random id, the source `/NAMESPACE/FUNCTION` and no data.
    pub fn new(ty: impl Into<String>) -> Self {
        Self {
            id: host::random_id(),
            source: format!("/{}/{}", crate::namespace(), crate::function_name()),
            ..Self::empty(ty.into())
        }
    }

    fn empty(ty: String) -> Self {
        Self {
            id: String::new(),
            source: String::new(),
            ty,
            subject: None,
            time: None,
            datacontenttype: None,
            dataschema: None,
            extensions: BTreeMap::new(),
            data: Vec::new(),
        }
    }

    /// Sets the id: unique among the events of one source.
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the source, a URI reference: where it happened.
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Sets the subject: what it happened to. Events of one subject keep their order in an ordered trigger.
    pub fn with_subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets when it happened, to the millisecond; see [`now`](crate::now).
    pub fn with_time(mut self, time: SystemTime) -> Self {
        self.time = Some(rfc3339::format(time));
        self
    }

    /// Sets the URI of the schema the data follows.
    pub fn with_dataschema(mut self, dataschema: impl Into<String>) -> Self {
        self.dataschema = Some(dataschema.into());
        self
    }

    /// Sets an extension attribute. The name takes lower case letters and digits; another one is an error when sent.
    pub fn with_extension(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.extensions.insert(name.into(), value.to_string());
        self
    }

    /// Sets the data and its media type.
    pub fn with_data(mut self, datacontenttype: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        self.datacontenttype = Some(datacontenttype.into());
        self.data = data.into();
        self
    }

    /// Sets the data to this text, of type `text/plain; charset=utf-8`.
    pub fn with_text(self, text: impl Into<String>) -> Self {
        self.with_data("text/plain; charset=utf-8", text.into())
    }

    /// Sets the data to this value as JSON.
    pub fn with_json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self, Error> {
        Ok(self.with_data("application/json", serde_json::to_vec(value)?))
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The source: where it happened.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type: what kind of thing happened.
    pub fn ty(&self) -> &str {
        &self.ty
    }

    /// The subject: what it happened to.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When it happened, as RFC 3339 text.
    pub fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// The media type of the data.
    pub fn datacontenttype(&self) -> Option<&str> {
        self.datacontenttype.as_deref()
    }

    /// The URI of the schema the data follows.
    pub fn dataschema(&self) -> Option<&str> {
        self.dataschema.as_deref()
    }

    /// An extension attribute; booleans and integers in the text form the specification gives them.
    pub fn extension(&self, name: &str) -> Option<&str> {
        self.extensions.get(name).map(String::as_str)
    }

    /// All extension attributes by name.
    pub fn extensions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The data; empty if there is none.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The data as text; `422` if it is not UTF-8, so that a broken event is not delivered again and again.
    pub fn text(&self) -> Result<&str, Error> {
        std::str::from_utf8(&self.data).map_err(|error| self.bad_data("text", error))
    }

    /// The data as JSON; `422` if it does not fit `T`, so that a broken event is not delivered again and again.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.data).map_err(|error| self.bad_data("the expected JSON", error))
    }

    fn bad_data(&self, expected: &str, error: impl std::fmt::Display) -> Error {
        Error::reject(format!("the data of event {} ({}) is not {expected}: {error}", self.id, self.ty))
    }

    /// Sets an attribute by its name on the wire. Attributes with the name of a field become that field.
    fn set_attribute(&mut self, name: &str, value: String) {
        match name {
            "id" => self.id = value,
            "source" => self.source = value,
            "type" => self.ty = value,
            "subject" => self.subject = Some(value),
            "time" => self.time = Some(value),
            "dataschema" => self.dataschema = Some(value),
            "datacontenttype" => self.datacontenttype = Some(value),
            _ => {
                self.extensions.insert(name.to_owned(), value);
            }
        }
    }

    /// Every attribute that is set, by its name on the wire, without `specversion` and `datacontenttype`.
    fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let required = [("id", self.id.as_str()), ("source", &self.source), ("type", &self.ty)];
        let optional = [("subject", self.subject()), ("time", self.time()), ("dataschema", self.dataschema())];
        let optional = optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value)));
        required.into_iter().chain(optional).chain(self.extensions())
    }

    /// What the specification asks of every event: names of lower case letters and digits, no required attribute empty.
    fn check(&self) -> Result<(), String> {
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.ty)] {
            if value.trim().is_empty() {
                return Err(format!("the attribute `{name}` is missing or empty"));
            }
        }
        let allowed =
            |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        match self.extensions.keys().find(|name| !allowed(name)) {
            Some(name) => Err(format!("the extension name `{name}` has more than lower case letters and digits")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_that_does_not_fit_is_rejected_for_good() {
        let event = Event::new("a").with_data("application/json", [0xff]);
        assert_eq!(event.text().unwrap_err().status_code(), 422);
        assert_eq!(event.json::<u8>().unwrap_err().status_code(), 422);
    }

    #[test]
    fn events_get_ids_of_their_own() {
        assert_ne!(Event::new("a").id(), Event::new("a").id());
        assert_eq!(Event::new("a").source(), "/default/function");
    }
}
