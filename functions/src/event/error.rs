//! Why bytes are not an event.

use std::fmt;

/// What a caller does about an [`EventError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventErrorKind {
    /// The message claims to be an event and breaks the specification: 400.
    Invalid,
    /// A limit of this node was exceeded: 413.
    TooLarge,
    /// The message does not claim to be an event.
    NotAnEvent,
}

/// Why bytes are not an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct EventError {
    /// What to do about it.
    pub kind: EventErrorKind,
    /// The attribute at fault, when it is one.
    pub attribute: Option<String>,
    /// The place of the event in its batch, counted from 0.
    pub index: Option<usize>,
    /// What is wrong and what was expected, without attribute and index.
    pub message: String,
}

impl EventError {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: EventErrorKind::Invalid, attribute: None, index: None, message: message.into() }
    }

    pub(super) fn attribute(name: &str, message: impl Into<String>) -> Self {
        // A name can be anything a client sent, and errors travel into logs: cut it, keep it printable.
        let shown = name.chars().take(64).flat_map(char::escape_debug).collect();
        Self { attribute: Some(shown), ..Self::invalid(message) }
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self { kind: EventErrorKind::TooLarge, ..Self::invalid(message) }
    }

    pub(super) fn not_an_event(message: impl Into<String>) -> Self {
        Self { kind: EventErrorKind::NotAnEvent, ..Self::invalid(message) }
    }

    pub(super) fn at_index(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

/// `event 3 of the batch: attribute `id`: must not be blank`
impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "event {index} of the batch (counted from 0): ")?;
        }
        if let Some(attribute) = &self.attribute {
            write!(f, "attribute `{attribute}`: ")?;
        }
        f.write_str(&self.message)
    }
}
