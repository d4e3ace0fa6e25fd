//! Checked values that manifests are made of: names, durations, sizes and ranges of addresses.
//!
//! Separate from the manifest reader because the rest of the workspace passes these types around: a value that exists is
//! a value that was checked.

mod duration;
mod ip_block;
mod name;
mod path_text;
mod size;

pub use duration::Duration;
pub use ip_block::IpBlock;
pub use name::{Name, Namespaced};
pub(crate) use path_text::misspelled;
pub use size::Size;

/// Why a text is not the value it was read as. The message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

#[cfg(test)]
mod tests;
