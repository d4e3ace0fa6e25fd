//! Numbers and texts as bytes, little endian, lengths before what they measure. Separate because records, settlements
//! and positions are all written this way, and because reading must never trust a length.

use bytes::{Buf as _, Bytes};

/// Appends fields to a buffer.
pub(super) trait Put {
    fn put_u8(&mut self, value: u8);
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// A text of at most 65,535 bytes (checked before); what is longer is cut.
    fn put_short(&mut self, text: &str);
    /// Bytes of at most 4 GiB (checked before).
    fn put_long(&mut self, bytes: &[u8]);
    /// Pairs of texts; at most 65,535 pairs are kept.
    fn put_pairs(&mut self, pairs: &[(String, String)]);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_short(&mut self, text: &str) {
        let text = text.get(..text.floor_char_boundary(usize::from(u16::MAX))).unwrap_or_default();
        self.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
        self.extend_from_slice(text.as_bytes());
    }

    fn put_long(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.put_u32(length);
        self.extend_from_slice(bytes);
    }

    fn put_pairs(&mut self, pairs: &[(String, String)]) {
        let count = u16::try_from(pairs.len()).unwrap_or(u16::MAX);
        self.put_u16(count);
        for (name, value) in &pairs[..usize::from(count)] {
            self.put_short(name);
            self.put_long(value.as_bytes());
        }
    }
}

/// Reads fields; `None` as soon as there is less than a field says.
pub(super) struct Fields {
    bytes: Bytes,
}

impl Fields {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Option<Bytes> {
        (length <= self.bytes.len()).then(|| self.bytes.split_to(length))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = self.bytes.get(..N)?.try_into().ok();
        self.bytes.advance(N);
        array
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn short(&mut self) -> Option<String> {
        let length = self.u16()?;
        text(&self.take(usize::from(length))?)
    }

    pub(super) fn long(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// Goes past a text.
    pub(super) fn pass_short(&mut self) -> Option<()> {
        let length = self.u16()?;
        self.pass(usize::from(length))
    }

    /// Goes past long bytes.
    pub(super) fn pass_long(&mut self) -> Option<()> {
        let length = self.u32()?;
        self.pass(usize::try_from(length).ok()?)
    }

    fn pass(&mut self, length: usize) -> Option<()> {
        (length <= self.bytes.len()).then(|| self.bytes.advance(length))
    }

    pub(super) fn pairs(&mut self) -> Option<Vec<(String, String)>> {
        let count = self.u16()?;
        (0..count).map(|_| Some((self.short()?, text(&self.long()?)?))).collect()
    }
}

fn text(bytes: &Bytes) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}
