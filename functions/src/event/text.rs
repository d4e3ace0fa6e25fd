//! Text as a slice of shared bytes.

use std::fmt;
use std::ops::{Deref, Range};

use bytes::{Bytes, BytesMut};

/// UTF-8 text in shared bytes: cloning and slicing copy nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Bytes);

impl Text {
    /// Text that lives as long as the program.
    pub const fn from_static(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }

    /// The text. Checked again at each call, because going without the check would be `unsafe`; values are short.
    pub fn as_str(&self) -> &str {
        // Only UTF-8 gets in, so the default is never seen.
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The bytes of the text, without a copy.
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl TryFrom<Bytes> for Text {
    type Error = std::str::Utf8Error;

    fn try_from(bytes: Bytes) -> Result<Self, Self::Error> {
        str::from_utf8(&bytes)?;
        Ok(Self(bytes))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Bytes::from(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Lays names and values side by side in one allocation, for attributes that must be copied anyway.
#[derive(Default)]
pub(super) struct Packer {
    buffer: BytesMut,
    pairs: Vec<(Range<usize>, Range<usize>)>,
}

impl Packer {
    pub(super) fn push(&mut self, name: &str, value: &str) {
        let pair = (self.put(name), self.put(value));
        self.pairs.push(pair);
    }

    fn put(&mut self, text: &str) -> Range<usize> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(text.as_bytes());
        start..self.buffer.len()
    }

    /// The pairs, all slices of one buffer.
    pub(super) fn finish(self) -> impl Iterator<Item = (Text, Text)> {
        let buffer = self.buffer.freeze();
        let slice = move |range| Text(buffer.slice(range));
        self.pairs.into_iter().map(move |(name, value)| (slice(name), slice(value)))
    }
}
