//! What a consumer has written down: the position file and, since then, three logs. Opening reads them in an order in
//! which an end always wins over a retry; saving replaces the position and forgets what it covers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::entry::{Failure, decode_dead, decode_settled};
use super::position::{MAGIC, Marks, Position};
use crate::defects::{Defect, seeded};
use crate::local::entries::Entries;
use crate::local::space::Space;
use crate::local::storage::Storage;
use crate::local::whole;
use crate::local::writer::Layout;
use crate::progress::{Progress, Retry, delay};
use crate::{Clock, DeadEvents, LogError, Terminal};

/// The file name of the position.
pub(in crate::local) const POSITION: &str = "position";
/// Settlements are small, and forgotten with the next position.
const SETTLED: Layout = Layout { segment_bytes: 1 << 20, reserve: 64 << 10, marked: false };
/// Failed events are copies of events.
const COPIES: Layout = Layout { segment_bytes: 8 << 20, reserve: 256 << 10, marked: false };
/// Bytes of a consumer's dead log; beyond it the oldest entries go. The counters keep counting them.
const MAX_DEAD_BYTES: u64 = 256 << 20;
/// Bytes of a consumer's retry log; beyond it no event can be put aside until earlier ones have ended.
const MAX_RETRY_BYTES: u64 = 1 << 30;

/// A consumer's files.
pub(super) struct Ledger {
    consumer: String,
    topic: String,
    dir: PathBuf,
    storage: Arc<dyn Storage>,
    space: Arc<Space>,
    pub(super) settled: Entries,
    pub(super) retries: Entries,
    pub(super) dead: Entries,
}

impl Ledger {
    /// Opens the files of a consumer, or creates it at `start`. `first` is the oldest record of the topic: where a
    /// consumer begins again if its position is damaged, for delivering twice is better than not at all. Blocks.
    pub(super) fn open(
        (storage, space): (Arc<dyn Storage>, Arc<Space>),
        dir: PathBuf,
        (consumer, topic): (&str, &str),
        (start, first): (u64, u64),
        (clock, now): (Arc<dyn Clock>, u64),
    ) -> Result<(Self, Progress), LogError> {
        let now_ms = clock.now_ms();
        storage.create_dir(&dir).map_err(LogError::io("create", &dir))?;
        let found = match whole::read_pair(storage.as_ref(), &dir, POSITION, MAGIC) {
            Ok(None) => None,
            Ok(Some(content)) => Some(Position::decode(content, now_ms, now)),
            Err(LogError::Corrupt { .. }) => Some(None),
            Err(error) => return Err(error),
        };
        let (mut progress, marks, known) = match found {
            Some(Some(position)) if position.topic != topic => {
                return Err(LogError::InUse { name: consumer.to_owned(), by: position.topic });
            }
            Some(Some(position)) => (position.progress, position.marks, true),
            Some(None) => {
                tracing::error!(
                    consumer,
                    first,
                    "the position is damaged; events from the oldest kept on are delivered again"
                );
                (Progress::new(first), Marks::BEGINNING, false)
            }
            None => (Progress::new(start), Marks::BEGINNING, false),
        };
        let open = |kind: &str, layout, visit: &mut dyn FnMut(u64, bytes::Bytes)| {
            let name = format!("consumers/{consumer}/{kind}");
            Entries::open(storage.clone(), dir.join(kind), name, layout, (clock.clone(), Some(space.clone())), visit)
        };
        let retries = open("retries", COPIES, &mut |number, entry| {
            if let Some(failure) = Failure::decode(entry).filter(|_| number >= marks.retries) {
                let Failure { attempt, due_ms, first_failure_ms, record, .. } = failure;
                let ready_at = now.saturating_add(delay(due_ms, now_ms));
                let retry = Retry { attempt, due_ms, ready_at, first_failure_ms, location: number };
                progress.put_aside(record.sequence.get(), retry);
            }
        })?;
        let settled = open("settled", SETTLED, &mut |number, entry| {
            let settled = decode_settled(entry).filter(|_| number >= marks.settled).unwrap_or_default();
            for (sequence, state) in settled {
                progress.end(sequence, state);
            }
        })?;
        let mut ranges = Vec::new();
        let dead = open("dead", COPIES, &mut |number, entry| {
            if let Some(dead) = decode_dead(number, entry).filter(|_| number >= marks.dead) {
                match dead.what {
                    DeadEvents::Range { .. } => ranges.push((dead.state, dead.what)),
                    DeadEvents::One(_) => bury(&mut progress, dead.state, &dead.what),
                }
            }
        })?;
        // Last: a range goes around events that were on lease when it was written, and those ended otherwise later.
        for (state, what) in ranges {
            bury(&mut progress, state, &what);
        }
        storage.sync_dir(&dir).map_err(LogError::io("sync", &dir))?;
        let (consumer, topic) = (consumer.to_owned(), topic.to_owned());
        let ledger = Self { consumer, topic, dir, storage, space, settled, retries, dead };
        if !known {
            ledger.save(&ledger.snapshot(&progress))?;
        }
        Ok((ledger, progress))
    }

    /// Where the logs end now. Every entry before must be part of `progress`: the caller keeps writers out.
    pub(super) fn snapshot(&self, progress: &Progress) -> Snapshot {
        let log = |entries: &Entries| entries.log.next();
        let marks = Marks { settled: log(&self.settled), retries: log(&self.retries), dead: log(&self.dead) };
        let live = progress.retries.values().map(|retry| retry.location).min().unwrap_or(marks.retries);
        let content = if seeded(Defect::D6) {
            Position::encode(&self.consumer, &self.topic, marks, &progress.as_if_settled())
        } else {
            Position::encode(&self.consumer, &self.topic, marks, progress)
        };
        Snapshot { content, marks, live }
    }

    /// Replaces the position and forgets what it makes superfluous. Blocks.
    pub(super) fn save(&self, snapshot: &Snapshot) -> Result<(), LogError> {
        let replace = || whole::replace_pair(self.storage.as_ref(), &self.dir, POSITION, MAGIC, &snapshot.content);
        match replace() {
            Err(error) if error.is_out_of_space() && self.space.spend() => replace()?,
            replaced => replaced?,
        }
        self.settled.forget(snapshot.marks.settled)?;
        self.retries.forget(snapshot.live)?;
        self.dead.trim(MAX_DEAD_BYTES, snapshot.marks.dead)
    }

    /// Whether another failed event can be put aside.
    pub(super) fn has_room(&self) -> bool {
        self.retries.log.size().0 < MAX_RETRY_BYTES
    }

    /// A failed event, as put aside at `location`. `None` when it is damaged. Blocks.
    pub(super) fn failure(&self, location: u64) -> Result<Option<Failure>, LogError> {
        let found = self.retries.read(location, 1, 1)?;
        let found = found.into_iter().find(|(frame, _)| frame.sequence == location);
        Ok(found.and_then(|(_, entry)| Failure::decode(entry)))
    }

    /// Commits what is queued. Blocks.
    pub(super) fn close(&self) -> Result<(), LogError> {
        [&self.settled, &self.retries, &self.dead].into_iter().map(Entries::close).fold(Ok(()), Result::and)
    }
}

/// A position about to be written.
pub(super) struct Snapshot {
    content: Vec<u8>,
    marks: Marks,
    /// The oldest entry of the retry log that is still needed.
    live: u64,
}

/// Ends what an entry of the dead log names.
pub(super) fn bury(progress: &mut Progress, state: Terminal, what: &DeadEvents) {
    match what {
        DeadEvents::One(record) => {
            progress.end(record.sequence.get(), state);
        }
        DeadEvents::Range { first, last } => {
            // A range of one may be a failed event whose copy is damaged.
            if first != last || !progress.end_aside(first.get(), state) {
                progress.end_waiting(first.get(), last.next().get(), state);
            }
        }
    }
}

/// The topic and floor of every consumer in `dir`, for the topics that are opened before their consumers. A consumer
/// whose position cannot be read may need anything.
pub(in crate::local) fn floors(
    storage: &dyn Storage,
    dir: &Path,
) -> Result<Vec<(String, Option<String>, u64)>, LogError> {
    let mut names = storage.list(dir).map_err(LogError::io("list", dir))?;
    names.sort_unstable();
    let floor = |name: String| match whole::read_pair(storage, &dir.join(&name), POSITION, MAGIC) {
        Ok(content) => match content.and_then(|content| Position::decode(content, 0, 0)) {
            Some(position) => Ok((position.consumer, Some(position.topic), position.progress.floor)),
            None => Ok((name, None, 0)),
        },
        Err(LogError::Corrupt { .. }) => Ok((name, None, 0)),
        Err(error) => Err(error),
    };
    names.into_iter().map(floor).collect()
}
