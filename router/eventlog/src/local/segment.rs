//! One file of a log. A log is a directory of segments `<ordinal, 12 digits>.seg`; only the last is written.
//!
//! ```text
//!  0  8 bytes  "weftseg\0"
//!  8  u16      format version
//! 10  u16      oldest version that may read it
//! 12  u32      salt: random, where the crc of each frame starts
//! 16  u64      which log this is: the first half of the SHA-256 of its name, first 8 bytes
//! 24  u64      ordinal, as in the file's name
//! 32  u64      sequence of the first record
//! 40  u64      created, Unix milliseconds
//! 48  u32      crc of the last frame of the segment before (chain)
//! 52  8 bytes  zero
//! 60  u32      crc32c of 0..60 (in every version, so that a newer format can be told from damage)
//! 64  frames, then zeros to the end of the space reserved
//! ```
//!
//! A segment's first sequence is a statement about the one before it: whatever stands there from this sequence on was
//! never acknowledged (its commit failed) and does not count.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::fields::{Fields, Put as _};
use super::record::Found;
use super::storage::File;
use crate::LogError;
use crate::lock::lock;

/// The version segments are written in, and the oldest reader of it.
pub(super) const FORMAT: u16 = 1;
/// Where the first frame is: one page, so that both copies of the header are never in one sector.
pub(super) const HEADER: usize = 4_096;
/// Bytes of a header, and where its copy is.
const LENGTH: usize = 64;
const COPY: usize = 2_048;
const MAGIC: [u8; 8] = *b"weftseg\0";
/// Bytes between two places the index knows: what a read skips at most. A full 64 MiB segment needs 64 KiB of index.
const INDEX_STEP: u64 = 16 << 10;

/// What the beginning of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) salt: u32,
    pub(super) log: u64,
    pub(super) ordinal: u64,
    pub(super) first: u64,
    pub(super) created_ms: u64,
    pub(super) previous: u32,
}

impl Header {
    /// The first page of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.put_u16(FORMAT);
        bytes.put_u16(FORMAT);
        bytes.put_u32(self.salt);
        bytes.put_u64(self.log);
        bytes.put_u64(self.ordinal);
        bytes.put_u64(self.first);
        bytes.put_u64(self.created_ms);
        bytes.put_u32(self.previous);
        bytes.put_u64(0);
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes.resize(HEADER, 0);
        bytes.copy_within(..LENGTH, COPY);
        bytes
    }

    /// Reads the first page. `None` when both copies are damaged or not there.
    ///
    /// # Errors
    /// `NewerFormat`.
    pub(super) fn decode(path: &Path, page: &[u8]) -> Result<Option<Self>, LogError> {
        match Self::decode_copy(path, page.get(..LENGTH))? {
            None => Self::decode_copy(path, page.get(COPY..COPY + LENGTH)),
            found => Ok(found),
        }
    }

    fn decode_copy(path: &Path, bytes: Option<&[u8]>) -> Result<Option<Self>, LogError> {
        let Some(bytes) = bytes else { return Ok(None) };
        let intact = crc32c::crc32c(&bytes[..LENGTH - 4]).to_le_bytes() == bytes[LENGTH - 4..];
        let mut fields = Fields::new(Bytes::copy_from_slice(bytes));
        let mut header = || {
            let (magic, _, oldest) = (fields.array::<8>()?, fields.u16()?, fields.u16()?);
            let (salt, log, ordinal) = (fields.u32()?, fields.u64()?, fields.u64()?);
            let header =
                Self { salt, log, ordinal, first: fields.u64()?, created_ms: fields.u64()?, previous: fields.u32()? };
            (intact && magic == MAGIC).then_some((oldest, header))
        };
        match header() {
            Some((oldest, _)) if oldest > FORMAT => {
                Err(LogError::NewerFormat { path: path.to_owned(), needs: oldest, reads: FORMAT })
            }
            found => Ok(found.map(|(_, header)| header)),
        }
    }
}

/// The file name of a segment.
pub(super) fn file_name(ordinal: u64) -> String {
    format!("{ordinal:012}.seg")
}

/// The ordinal in a file name, if it is a segment's.
pub(super) fn ordinal_of(name: &str) -> Option<u64> {
    let ordinal = name.strip_suffix(".seg")?.parse().ok()?;
    (file_name(ordinal) == name).then_some(ordinal)
}

/// A range of sequences that is lost, and the place in the file where reading goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) first: u64,
    /// Exclusive.
    pub(super) until: u64,
    pub(super) offset: u64,
    pub(super) resume: u64,
}

/// What is known of a segment's content; grows with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Extent {
    /// Where the next frame goes.
    pub(super) end: u64,
    /// The sequence after the last record.
    pub(super) next: u64,
    /// The crc of the last frame.
    pub(super) crc: u32,
    /// When the newest record was admitted.
    pub(super) newest_ms: u64,
    /// Damaged places, in order.
    pub(super) holes: Vec<Hole>,
    /// Sequence and offset of some frames, in order.
    index: Vec<(u64, u64)>,
}

impl Extent {
    /// An empty segment.
    pub(super) fn new(first: u64, previous: u32, created_ms: u64) -> Self {
        Self { end: HEADER as u64, next: first, crc: previous, newest_ms: created_ms, ..Self::default() }
    }

    /// Takes note of a frame at `offset`.
    pub(super) fn push(&mut self, found: &Found, offset: u64) {
        if self.index.last().is_none_or(|(_, last)| offset >= last + INDEX_STEP) {
            self.index.push((found.frame.sequence, offset));
        }
        self.end = offset + found.span() as u64;
        self.next = found.frame.next();
        self.crc = found.crc;
        self.newest_ms = self.newest_ms.max(found.frame.admitted_ms);
    }

    /// A place at or before the record.
    pub(super) fn seek(&self, sequence: u64) -> u64 {
        let after = self.index.partition_point(|(known, _)| *known <= sequence);
        after.checked_sub(1).and_then(|at| self.index.get(at)).map_or(HEADER as u64, |(_, offset)| *offset)
    }
}

/// A segment in use.
pub(super) struct Segment {
    pub(super) header: Header,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    extent: Mutex<Extent>,
}

impl Segment {
    pub(super) fn new(header: Header, path: PathBuf, file: Arc<dyn File>, extent: Extent) -> Self {
        Self { header, path, file, extent: Mutex::new(extent) }
    }

    /// Reads or changes what is known of the content.
    pub(super) fn extent<T>(&self, with: impl FnOnce(&mut Extent) -> T) -> T {
        with(&mut lock(&self.extent))
    }
}
