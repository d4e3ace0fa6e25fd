//! A log of single entries, each a few bytes that mean something to their owner: settlements, failed events, dead
//! events, a control plane's changes. An append returns once the entry is durable.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::committer::{Commit, Committer};
use super::log::SegmentLog;
use super::record::Frame;
use super::space::Space;
use super::storage::Storage;
use super::writer::{Draft, Layout, Writer};
use crate::defects::{Defect, seeded};
use crate::{Clock, LogError};

/// A log of entries.
pub(super) struct Entries {
    pub(super) log: Arc<SegmentLog>,
    committer: Arc<Committer<EntryCommit>>,
}

struct Entry {
    payload: Vec<u8>,
    answer: oneshot::Sender<Result<u64, LogError>>,
}

struct EntryCommit {
    writer: Writer,
    clock: Arc<dyn Clock>,
    /// What may be spent on an entry when the disk is full.
    space: Option<Arc<Space>>,
}

impl Entries {
    /// Opens or creates it; `visit` sees each entry. What is written here may use the space that is kept. Blocks.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        name: String,
        layout: Layout,
        (clock, space): (Arc<dyn Clock>, Option<Arc<Space>>),
        visit: &mut dyn FnMut(u64, Bytes),
    ) -> Result<Self, LogError> {
        let log = SegmentLog::open(storage, dir, name.clone(), &mut |found, payload| {
            visit(found.frame.sequence, Bytes::copy_from_slice(payload));
        })?;
        let log = Arc::new(log);
        let writer = Writer::new(log.clone(), layout, clock.now_ms())?;
        Ok(Self { log, committer: Committer::new(name, EntryCommit { writer, clock, space }) })
    }

    /// Appends an entry; its sequence, once it is durable.
    pub(super) async fn append(&self, payload: Vec<u8>) -> Result<u64, LogError> {
        let (answer, answered) = oneshot::channel();
        let bytes = payload.len();
        self.committer.submit(Entry { payload, answer }, bytes)?;
        if seeded(Defect::D8) && self.log.name.ends_with("/dead") {
            return Ok(0);
        }
        answered.await.map_err(|_| LogError::Closed { name: self.log.name.clone() })?
    }

    /// Reads from `from` on, at most `max` entries of together about `max_bytes`. Blocks.
    pub(super) fn read(&self, from: u64, max: usize, max_bytes: usize) -> Result<Vec<(Frame, Bytes)>, LogError> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        if max > 0 {
            self.log.read(from, &mut |frame, payload| {
                bytes += payload.len();
                entries.push((*frame, payload));
                entries.len() < max && bytes < max_bytes
            })?;
        }
        Ok(entries)
    }

    /// Drops the segments whose entries are all below `before`. Blocks.
    pub(super) fn forget(&self, before: u64) -> Result<(), LogError> {
        self.committer.with(|commit| commit.writer.drop_while(|_, next| next.header.first <= before)).map(drop)
    }

    /// Drops the oldest segments above `max_bytes`, but nothing from `keep` on. Blocks.
    pub(super) fn trim(&self, max_bytes: u64, keep: u64) -> Result<(), LogError> {
        let mut bytes = self.log.size().0;
        let oldest = |oldest: &super::segment::Segment, next: &super::segment::Segment| {
            let goes = bytes > max_bytes && next.header.first <= keep;
            bytes -= if goes { oldest.extent(|extent| extent.end) } else { 0 };
            goes
        };
        self.committer.with(|commit| commit.writer.drop_while(oldest)).map(drop)
    }

    /// Begins a new segment, so that everything before can be forgotten. Blocks.
    pub(super) fn roll(&self) -> Result<(), LogError> {
        self.committer.with(|commit| commit.writer.roll(commit.clock.now_ms()))
    }

    /// What has to be done now and then. Blocks.
    pub(super) fn tend(&self) {
        self.committer.with(|commit| commit.writer.mark());
    }

    /// Commits what is queued and takes no more. Blocks.
    pub(super) fn close(&self) -> Result<(), LogError> {
        self.committer.close();
        self.committer.with(|commit| commit.writer.close())
    }
}

impl EntryCommit {
    fn commit_group(&mut self, group: Vec<Entry>) {
        let (drafts, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|Entry { payload, answer }| (Draft { count: 1, payload }, answer)).unzip();
        let first = self.writer.next();
        self.writer.frugal = self.space.as_ref().is_some_and(|space| space.is_spent());
        let mut outcome = self.writer.commit(&drafts, self.clock.now_ms(), true);
        if let (Err(error), Some(space)) = (&outcome, &self.space)
            && error.is_out_of_space()
            && space.spend()
        {
            self.writer.frugal = true;
            outcome = self.writer.commit(&drafts, self.clock.now_ms(), true);
        }
        for (sequence, answer) in (first..).zip(answers) {
            // Whoever asked may be gone.
            drop(answer.send(outcome.clone().map(|()| sequence)));
        }
    }
}

impl Commit for EntryCommit {
    type Request = Entry;

    fn commit(&mut self, mut requests: Vec<Entry>) {
        // Of a torn write the second entry may survive and not the first. Where that would be a hole in what must be
        // whole, an entry is on disk before the next one is written.
        let most = if self.writer.layout.marked { 1 } else { requests.len() };
        while !requests.is_empty() {
            let rest = requests.split_off(most.min(requests.len()));
            self.commit_group(requests);
            requests = rest;
        }
    }
}
