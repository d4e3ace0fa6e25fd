//! How large an event may be.

use super::{Event, EventError};

/// Bounds on what is decoded. The defaults are the mesh's; a node may lower them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Bytes of the body that carries one event, or of one event of a batch; default 1 MiB. The specification asks
    /// intermediaries for 64 KiB at least.
    pub event_bytes: usize,
    /// Events of a batch; default 1,000.
    pub batch_events: usize,
    /// Bytes of the body that carries a batch; default 1 MiB.
    pub batch_bytes: usize,
    /// Attributes of an event, `specversion` included; default 64.
    pub attributes: usize,
    /// Bytes of one attribute's value; default 4 KiB.
    pub attribute_bytes: usize,
    /// Bytes of all names and values; default 32 KiB.
    pub attributes_bytes: usize,
    /// Nesting of JSON in structured and batch mode, `data` included; default 128.
    pub json_depth: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            event_bytes: 1024 * 1024,
            batch_events: 1_000,
            batch_bytes: 1024 * 1024,
            attributes: 64,
            attribute_bytes: 4 * 1024,
            attributes_bytes: 32 * 1024,
            json_depth: 128,
        }
    }
}

impl EventLimits {
    /// Checks the attributes of an event. Its data is bounded by the body it came in.
    pub(super) fn check_attributes(&self, event: &Event) -> Result<(), EventError> {
        let mut total = 0;
        for (count, (name, value)) in event.attributes().enumerate() {
            total += name.len() + value.len();
            if count >= self.attributes {
                return Err(EventError::too_large(format!("more than {} attributes", self.attributes)));
            }
            if value.len() > self.attribute_bytes {
                let message = format!("{} bytes, at most {} are taken", value.len(), self.attribute_bytes);
                return Err(EventError { attribute: Some(name.to_owned()), ..EventError::too_large(message) });
            }
        }
        if total > self.attributes_bytes {
            let message = format!("{total} bytes of attributes, at most {} are taken", self.attributes_bytes);
            return Err(EventError::too_large(message));
        }
        Ok(())
    }
}
