//! CloudEvents 1.0 as values: checked once, cloned cheaply, never rewritten.
//!
//! Our own type rather than the official SDK's, because the mesh must give back exactly the bytes it was given: attribute
//! values keep their text (`time` is not normalised) and `data` stays a slice of what arrived.

mod attribute;
mod builder;
mod error;
pub mod http;
mod json;
mod limits;
#[cfg(feature = "cloudevents-sdk")]
mod sdk;
mod text;

use std::sync::Arc;

use bytes::Bytes;

pub use builder::EventBuilder;
pub use error::{EventError, EventErrorKind};
pub use limits::EventLimits;
pub use text::Text;

use attribute::{Attribute, EXPIRY_TIME, NOT_BEFORE, is_core, unix_ms};

pub use attribute::is_attribute_name;
pub(crate) use attribute::is_uri_reference;

/// The one `specversion` that exists: `1.0`.
pub const SPEC_VERSION: &str = "1.0";

/// A valid CloudEvent 1.0. Cloning copies two reference counts.
///
/// Attributes are texts. CloudEvents knows more types, but every binding may turn them into their canonical text, so
/// that is what a mesh can keep. Data without bytes does not exist: HTTP's binary mode cannot tell it from no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// In stable order: `specversion id source type subject time datacontenttype dataschema`, then extensions by name.
    attributes: Arc<[Attribute]>,
    data: Option<Bytes>,
}

impl Event {
    /// Begins an event. `id`, `source` and `type` must be set.
    pub fn builder() -> EventBuilder {
        EventBuilder::default()
    }

    /// Identifies the event within its source. Not blank.
    pub fn id(&self) -> &str {
        self.attribute("id").unwrap_or_default()
    }

    /// Where the event happened: a URI reference. Not empty.
    pub fn source(&self) -> &str {
        self.attribute("source").unwrap_or_default()
    }

    /// The attribute `type`. Not blank.
    pub fn ty(&self) -> &str {
        self.attribute("type").unwrap_or_default()
    }

    /// What the event is about, within its source.
    pub fn subject(&self) -> Option<&str> {
        self.attribute("subject")
    }

    /// When it happened: RFC 3339, as the producer wrote it.
    pub fn time(&self) -> Option<&str> {
        self.attribute("time")
    }

    /// Media type of the data.
    pub fn datacontenttype(&self) -> Option<&str> {
        self.attribute("datacontenttype")
    }

    /// Schema of the data: an absolute URI.
    pub fn dataschema(&self) -> Option<&str> {
        self.attribute("dataschema")
    }

    /// An extension attribute; `None` for an attribute that the specification itself defines.
    pub fn extension(&self, name: &str) -> Option<&str> {
        if is_core(name) { None } else { self.attribute(name) }
    }

    /// Any attribute, `specversion` included.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name.as_str() == name).map(|found| found.value.as_str())
    }

    /// From when on the event is of no use, in Unix milliseconds (CloudEvents' extension `expirytime`).
    pub fn expires_ms(&self) -> Option<u64> {
        self.attribute(EXPIRY_TIME).and_then(unix_ms)
    }

    /// Until when the event is to be held back, in Unix milliseconds (our extension `weftdelivernotbefore`).
    pub fn not_before_ms(&self) -> Option<u64> {
        self.attribute(NOT_BEFORE).and_then(unix_ms)
    }

    /// Every attribute in stable order: `specversion`, `id`, `source`, `type`, the optional ones, extensions by name.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str()))
    }

    /// The payload as it arrived; never empty.
    pub fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The event with this extension set, whatever it was before.
    ///
    /// # Errors
    /// When the name is not one of an extension, or the value has characters that no attribute may have.
    pub fn with_extension(self, name: impl Into<Text>, value: impl Into<Text>) -> Result<Self, EventError> {
        let name = name.into();
        if is_core(name.as_str()) {
            return Err(EventError::attribute(name.as_str(), "not an extension: the specification defines it"));
        }
        let rest = self.without_extensions(|other| other == name.as_str());
        rest.into_builder().extension(name, value).build()
    }

    /// The event without the extensions for which `remove` is true. What the specification defines stays.
    pub fn without_extensions(self, remove: impl Fn(&str) -> bool) -> Self {
        let removed = |attribute: &Attribute| !is_core(attribute.name.as_str()) && remove(attribute.name.as_str());
        if !self.attributes.iter().any(removed) {
            return self;
        }
        let attributes = self.attributes.iter().filter(|attribute| !removed(attribute)).cloned().collect();
        Self { attributes, data: self.data }
    }

    /// The attributes as a list of headers, for a log that knows no events. [`Self::from_fields`] is the way back.
    pub fn to_fields(&self) -> Vec<(String, String)> {
        self.attributes().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// Reads what [`Self::to_fields`] wrote. Everything is checked again, since a record may come from an older version.
    ///
    /// # Errors
    /// When the fields are not a valid event.
    pub fn from_fields<N, V>(fields: impl IntoIterator<Item = (N, V)>, data: Option<Bytes>) -> Result<Self, EventError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut packer = text::Packer::default();
        for (name, value) in fields {
            packer.push(name.as_ref(), value.as_ref());
        }
        let mut builder = Self::builder();
        for (name, value) in packer.finish() {
            builder = builder.attribute(name, value);
        }
        builder.maybe_data(data).build_with_version()
    }

    fn into_builder(self) -> EventBuilder {
        let without_version = self.attributes.iter().filter(|attribute| attribute.name.as_str() != "specversion");
        let builder = without_version.fold(EventBuilder::default(), |builder, attribute| {
            builder.attribute(attribute.name.clone(), attribute.value.clone())
        });
        builder.maybe_data(self.data)
    }
}

#[cfg(test)]
mod tests;
