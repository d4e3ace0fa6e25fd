//! The mark of a log: how far everything in it is known to be synced, in a small file beside its segments. A frame says
//! so of the frames before it; the mark says it of the last ones, so that damage to them is not taken for a torn tail,
//! and of segments that are missing at the end.
//!
//! ```text
//! 0 and 512, in turns:
//!  0  8 bytes  "weftmrk\0"
//!  8  u16      format version
//! 10  u16      oldest version that may read it
//! 12  u32      zero
//! 16  u64      which log this is, as in its segments
//! 24  u64      the oldest sequence kept
//! 32  u64      the sequence after the last one that was synced
//! 40  u32      crc32c of 0..40
//! ```
//!
//! It is written behind the commits (each second, at a roll and when the log is closed) and synced at close only: a mark
//! that did not reach the disk says less, and never anything wrong. Before the oldest segments go, both slots say so, and
//! are synced.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Fields, Put as _};
use super::storage::{File, Storage};
use crate::LogError;

/// The file's name.
pub(super) const MARK: &str = "mark";
const MAGIC: [u8; 8] = *b"weftmrk\0";
const FORMAT: u16 = 1;
/// A slot is a sector, so that writing one cannot harm the other.
const SLOT: usize = 512;
const LENGTH: usize = 44;

/// What a mark says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// The oldest sequence kept when it was written.
    pub(super) first: u64,
    /// Everything below was synced. 0: nothing is known.
    pub(super) durable: u64,
}

/// The writing end of a mark.
pub(super) struct Mark {
    path: PathBuf,
    file: Arc<dyn File>,
    log: u64,
    written: Known,
    slot: usize,
}

/// What the mark in `dir` says; nothing if it is damaged or not there.
pub(super) fn read(storage: &dyn Storage, dir: &Path, log: u64) -> Known {
    slots(storage, dir, log).into_iter().max_by_key(|known| known.durable).unwrap_or_default()
}

fn slots(storage: &dyn Storage, dir: &Path, log: u64) -> [Known; 2] {
    let bytes = storage.open(&dir.join(MARK)).and_then(|file| {
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(0).min(2 * SLOT)];
        file.read_at(&mut bytes, 0).map(|()| bytes)
    });
    let bytes = bytes.unwrap_or_default();
    [0, SLOT].map(|at| bytes.get(at..).and_then(|slot| decode(slot, log)).unwrap_or_default())
}

impl Mark {
    /// Makes the file, or goes on with the one that is there.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn open(storage: &dyn Storage, dir: &Path, log: u64) -> Result<Self, LogError> {
        let (path, [one, other]) = (dir.join(MARK), slots(storage, dir, log));
        // The slot that says less goes first.
        let (written, slot) = if one.durable > other.durable { (one, 1) } else { (other, 0) };
        let file = match storage.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => storage.create(&path),
            file => file,
        };
        let file = file.map_err(LogError::io("open", &path))?;
        Ok(Self { path, file, log, written, slot })
    }

    /// Writes down what is known, if it is more than before. A failure costs the knowledge only.
    pub(super) fn write(&mut self, known: Known) {
        if known.durable > self.written.durable.max(1) {
            self.put(known);
        }
    }

    /// Writes down that what is before `known.first` is about to go.
    pub(super) fn write_for_good(&mut self, known: Known) {
        self.put(known);
        self.put(known);
        self.sync();
    }

    fn put(&mut self, known: Known) {
        match self.file.write_at(&encode(self.log, known), (self.slot * SLOT) as u64) {
            Ok(()) => (self.written, self.slot) = (known, 1 - self.slot),
            Err(error) => tracing::warn!(path = %self.path.display(), %error, "cannot write down what is synced"),
        }
    }

    /// Makes what was written survive a loss of power.
    pub(super) fn sync(&self) {
        if let Err(error) = self.file.sync() {
            tracing::warn!(path = %self.path.display(), %error, "cannot sync what is known to be synced");
        }
    }
}

fn encode(log: u64, known: Known) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SLOT);
    bytes.extend_from_slice(&MAGIC);
    bytes.put_u16(FORMAT);
    bytes.put_u16(FORMAT);
    bytes.put_u32(0);
    bytes.put_u64(log);
    bytes.put_u64(known.first);
    bytes.put_u64(known.durable);
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32(crc);
    bytes.resize(SLOT, 0);
    bytes
}

fn decode(slot: &[u8], log: u64) -> Option<Known> {
    let bytes = slot.get(..LENGTH).map(Bytes::copy_from_slice)?;
    let intact = crc32c::crc32c(&bytes[..LENGTH - 4]).to_le_bytes() == bytes[LENGTH - 4..];
    let mut fields = Fields::new(bytes);
    let (magic, _, oldest, _) = (fields.array::<8>()?, fields.u16()?, fields.u16()?, fields.u32()?);
    let (of, first, durable) = (fields.u64()?, fields.u64()?, fields.u64()?);
    (intact && magic == MAGIC && oldest <= FORMAT && of == log).then_some(Known { first, durable })
}
