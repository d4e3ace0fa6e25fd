//! The one way to make an event: collects attributes, checks them all, puts them in order.

use bytes::Bytes;

use super::attribute::{self, Attribute};
use super::{Event, EventError, SPEC_VERSION, Text};

/// Collects the attributes of an event; [`EventBuilder::build`] checks them.
#[derive(Debug, Clone, Default)]
pub struct EventBuilder {
    attributes: Vec<Attribute>,
    data: Option<Bytes>,
}

impl EventBuilder {
    /// Sets `id`.
    pub fn id(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("id"), value)
    }

    /// Sets `source`.
    pub fn source(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("source"), value)
    }

    /// Sets `type`.
    pub fn ty(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("type"), value)
    }

    /// Sets `subject`.
    pub fn subject(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("subject"), value)
    }

    /// Sets `time`, in the form of RFC 3339.
    pub fn time(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("time"), value)
    }

    /// Sets `datacontenttype`.
    pub fn datacontenttype(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("datacontenttype"), value)
    }

    /// Sets `dataschema`.
    pub fn dataschema(self, value: impl Into<Text>) -> Self {
        self.attribute(Text::from_static("dataschema"), value)
    }

    /// Sets an extension attribute.
    pub fn extension(self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.attribute(name, value)
    }

    /// Sets the payload. Empty bytes are no data.
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        self.maybe_data(Some(data.into()))
    }

    pub(super) fn maybe_data(mut self, data: Option<Bytes>) -> Self {
        self.data = data.filter(|data| !data.is_empty());
        self
    }

    pub(super) fn attribute(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.attributes.push(Attribute { name: name.into(), value: value.into() });
        self
    }

    /// The event. `specversion` is added.
    ///
    /// # Errors
    /// When a required attribute is missing, one is given twice, or a name or value breaks the specification. The error
    /// names the attribute.
    pub fn build(self) -> Result<Event, EventError> {
        self.attribute(Text::from_static("specversion"), Text::from_static(SPEC_VERSION)).build_with_version()
    }

    /// As [`Self::build`] for attributes that were received, `specversion` among them.
    pub(super) fn build_with_version(self) -> Result<Event, EventError> {
        let Self { mut attributes, data } = self;
        attributes.iter().try_for_each(attribute::check)?;
        attributes.sort_by(|a, b| attribute::rank(a).cmp(&attribute::rank(b)));
        if let Some([twice, _]) = attributes.array_windows().find(|[a, b]| a.name == b.name) {
            return Err(EventError::attribute(twice.name.as_str(), "given more than once"));
        }
        for required in ["specversion", "id", "source", "type"] {
            if !attributes.iter().any(|attribute| attribute.name.as_str() == required) {
                return Err(EventError::attribute(required, "missing"));
            }
        }
        Ok(Event { attributes: attributes.into(), data })
    }
}
