//! A journal on disk: entries, and a checkpoint file that stands for those before it. The file is replaced first, then
//! the entries it covers are dropped; a reader skips what is covered and not dropped yet.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::entries::Entries;
use super::fields::{Fields, Put as _};
use super::storage::Storage;
use super::writer::Layout;
use super::{blocking, whole};
use crate::memory::{check_compaction, check_entry};
use crate::{Clock, Durable, Journal, JournalCheckpoint, JournalContents, JournalEntry, LogError, Sequence};

const CHECKPOINT: &str = "checkpoint";
const MAGIC: [u8; 8] = *b"weftchk\0";
/// A change log is small: a segment holds thousands of applies, and a reservation is quickly made.
const LAYOUT: Layout = Layout { segment_bytes: 8 << 20, reserve: 256 << 10, marked: true };

/// A journal on disk.
pub(super) struct LocalJournal {
    name: String,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    entries: Entries,
    /// One compaction at a time.
    compacting: std::sync::Mutex<()>,
    closed: AtomicBool,
}

impl LocalJournal {
    /// Opens or creates it. Blocks.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        name: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let log = format!("journals/{name}");
        let entries = Entries::open(storage.clone(), dir.join("entries"), log, LAYOUT, (clock, None), &mut |_, _| {})?;
        storage.sync_dir(&dir).map_err(LogError::io("sync", &dir))?;
        let (compacting, closed) = (std::sync::Mutex::default(), AtomicBool::new(false));
        Ok(Self { name: name.to_owned(), dir, storage, entries, compacting, closed })
    }

    /// What has to be done now and then. Blocks.
    pub(super) fn tend(&self) {
        self.entries.tend();
    }

    pub(super) fn close(&self) -> Result<(), LogError> {
        self.closed.store(true, Ordering::Release);
        self.entries.close()
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.load(Ordering::Acquire) { Err(LogError::Closed { name: self.name.clone() }) } else { Ok(()) }
    }

    fn checkpoint(&self) -> Result<Option<JournalCheckpoint>, LogError> {
        let content = whole::read_pair(self.storage.as_ref(), &self.dir, CHECKPOINT, MAGIC)?;
        let Some(content) = content else { return Ok(None) };
        let mut fields = Fields::new(content);
        let mut decode = || Some(JournalCheckpoint { before: Sequence::new(fields.u64()?), bytes: fields.long()? });
        let corrupt =
            LogError::Corrupt { path: self.dir.join(CHECKPOINT), what: "its content is cut short".to_owned() };
        decode().map(Some).ok_or(corrupt)
    }

    fn read_blocking(&self) -> Result<JournalContents, LogError> {
        let checkpoint = self.checkpoint()?;
        let first = checkpoint.as_ref().map_or(Sequence::FIRST, |checkpoint| checkpoint.before);
        let mut contents = JournalContents { checkpoint, entries: Vec::new() };
        // What is appended while this reads is for the next reading.
        let next = self.entries.log.next();
        let entries = self.entries.read(first.get(), usize::MAX, usize::MAX)?;
        for (frame, bytes) in entries.into_iter().filter(|(frame, _)| frame.sequence < next) {
            let sequence = Sequence::new(frame.sequence);
            contents.entries.push(JournalEntry { sequence, at_ms: frame.admitted_ms, bytes });
        }
        let (expected, found) = (next.saturating_sub(first.get()), contents.entries.len() as u64);
        if expected != found {
            let what = format!("{} entries from {first} on are missing", expected.saturating_sub(found));
            return Err(LogError::Corrupt { path: self.dir.clone(), what });
        }
        Ok(contents)
    }

    fn compact_blocking(&self, before: Sequence, checkpoint: &Bytes) -> Result<(), LogError> {
        let _one = crate::lock::lock(&self.compacting);
        let oldest = self.checkpoint()?.map_or(Sequence::FIRST, |checkpoint| checkpoint.before);
        check_compaction(before, oldest, Sequence::new(self.entries.log.next()))?;
        let mut content = Vec::with_capacity(checkpoint.len() + 12);
        content.put_u64(before.get());
        content.put_long(checkpoint);
        whole::replace_pair(self.storage.as_ref(), &self.dir, CHECKPOINT, MAGIC, &content)?;
        self.entries.roll()?;
        self.entries.forget(before.get())
    }
}

/// The handle that callers get.
pub(super) struct JournalHandle(pub(super) Arc<LocalJournal>);

#[async_trait]
impl Journal for JournalHandle {
    async fn append(&self, entry: Bytes) -> Result<Durable<Sequence>, LogError> {
        check_entry(&entry)?;
        let sequence = self.0.entries.append(entry.into()).await?;
        Ok(Durable::new(Sequence::new(sequence)))
    }

    async fn read_all(&self) -> Result<JournalContents, LogError> {
        self.0.check_open()?;
        let journal = self.0.clone();
        blocking(&self.0.name, move || journal.read_blocking()).await
    }

    async fn compact(&self, before: Sequence, checkpoint: Bytes) -> Result<(), LogError> {
        check_entry(&checkpoint)?;
        self.0.check_open()?;
        let journal = self.0.clone();
        blocking(&self.0.name, move || journal.compact_blocking(before, &checkpoint)).await
    }
}
