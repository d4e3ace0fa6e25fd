//! A segment's file seen through a buffer: recovery and readers go over files of any size with little memory. It also
//! decides what a place means that the disk cannot read: it reads as zeros that are known to be damage, so that one bad
//! sector costs the frames on it and not the whole log.

use std::path::Path;

use super::record::{FRAME_HEADER, Found, Look, look};
use super::storage::{File, is_unreadable};
use crate::LogError;

/// What a disk fails to read as one: a page of its cache.
const PAGE: usize = 4 << 10;

/// A part of a file.
pub(super) struct Window<'a> {
    path: &'a Path,
    file: &'a dyn File,
    /// Where the file ends.
    size: u64,
    /// How much is read at once.
    step: usize,
    base: u64,
    bytes: Vec<u8>,
    /// A page in the buffer could not be read.
    unreadable: bool,
}

impl<'a> Window<'a> {
    /// All of a file, read `step` bytes at a time.
    pub(super) fn whole(path: &'a Path, file: &'a dyn File, step: usize) -> Result<Self, LogError> {
        let size = file.size().map_err(LogError::io("read", path))?;
        Ok(Self::up_to(path, file, size, step))
    }

    /// The file up to `size`.
    pub(super) fn up_to(path: &'a Path, file: &'a dyn File, size: u64, step: usize) -> Self {
        Self { path, file, size, step, base: 0, bytes: Vec::new(), unreadable: false }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes from `at` on: at least `length`, unless the file ends before.
    pub(super) fn at(&mut self, at: u64, length: usize) -> Result<&[u8], LogError> {
        if self.buffered(at).len() < length {
            self.fill(at, length)?;
        }
        Ok(self.buffered(at))
    }

    fn buffered(&self, at: u64) -> &[u8] {
        let skipped = at.checked_sub(self.base).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.bytes.get(skipped..)).unwrap_or_default()
    }

    fn fill(&mut self, at: u64, length: usize) -> Result<(), LogError> {
        let left = usize::try_from(self.size.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = length.max(self.step).min(left);
        if self.buffered(at).len() >= length {
            return Ok(());
        }
        self.bytes.clear();
        self.bytes.resize(length, 0);
        (self.base, self.unreadable) = (at, false);
        match self.file.read_at(&mut self.bytes, at) {
            Err(error) if is_unreadable(&error) => self.fill_by_pages(at),
            read => read.map_err(LogError::io("read", self.path)),
        }
    }

    fn fill_by_pages(&mut self, at: u64) -> Result<(), LogError> {
        for (page, bytes) in self.bytes.chunks_mut(PAGE).enumerate() {
            match self.file.read_at(bytes, at + (page * PAGE) as u64) {
                Err(error) if is_unreadable(&error) => {
                    bytes.fill(0);
                    self.unreadable = true;
                }
                read => read.map_err(LogError::io("read", self.path))?,
            }
        }
        Ok(())
    }

    /// The frame that begins at `at`, with its payload; `None` when there is none whose check holds.
    pub(super) fn frame(&mut self, at: u64, salt: u32) -> Result<Option<(Found, &[u8])>, LogError> {
        let mut length = FRAME_HEADER;
        loop {
            match look(self.at(at, length)?, salt) {
                Look::Frame(found) => {
                    let payload = self.buffered(at).get(FRAME_HEADER..FRAME_HEADER + found.length);
                    return Ok(Some((found, payload.unwrap_or_default())));
                }
                Look::Needs(needs) if needs > length && at + needs as u64 <= self.size => length = needs,
                _ => return Ok(None),
            }
        }
    }

    /// Whether everything from `at` on is zeros that could be read.
    pub(super) fn is_zero(&mut self, at: u64) -> Result<bool, LogError> {
        let mut at = at;
        while at < self.size {
            let bytes = self.at(at, 1)?;
            let length = bytes.len();
            if bytes.iter().any(|byte| *byte != 0) || self.unreadable || length == 0 {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}
