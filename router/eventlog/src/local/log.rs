//! A directory of segments as one sequence of frames: what is known of it, and reading. Topics, journals, and what a
//! consumer writes down are all logs of this kind. Opening is in `log/opening.rs`, writing in `writer.rs`; one writer
//! and many readers share this value.

mod opening;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use super::mark::Known;
use super::record::Frame;
use super::recovery::{End, scan};
use super::segment::{Hole, Segment};
use super::storage::{File, Storage};
use super::window::Window;
use crate::LogError;
use crate::lock::lock;

/// Bytes read at once; the distance of two places of the index.
const CHUNK: usize = 16 << 10;
/// Bytes read at once when a whole segment is read.
const STRIDE: usize = 256 << 10;
/// Damaged ranges that are remembered by name; more are counted.
const MAX_NAMED: usize = 1_000;

/// A log on disk.
pub(super) struct SegmentLog {
    /// For messages, and mixed into each segment's header: the path below the data directory.
    pub(super) name: String,
    pub(super) dir: PathBuf,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) id: u64,
    segments: Mutex<Vec<Arc<Segment>>>,
    /// The sequence after the last one that readers may see.
    visible: AtomicU64,
    /// What the mark said when the log was opened.
    pub(super) known: Known,
    damage: Mutex<Damage>,
}

/// Records that are lost.
#[derive(Default)]
struct Damage {
    /// Ranges `first..until`, in the order they were found.
    named: Vec<(u64, u64)>,
    records: u64,
}

impl SegmentLog {
    fn report(&self, path: &Path, holes: &[Hole]) {
        let mut damage = lock(&self.damage);
        for Hole { first, until, .. } in holes {
            tracing::error!(log = %self.name, path = %path.display(), first, last = until - 1, "records are damaged and skipped");
            damage.records += until - first;
            if damage.named.len() < MAX_NAMED {
                damage.named.push((*first, *until));
            }
        }
    }

    /// The sequence after the last visible record.
    pub(super) fn next(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Shows readers everything below `next`. For the writer only.
    pub(super) fn show(&self, next: u64) {
        self.visible.store(next, Ordering::Release);
    }

    /// The oldest kept record, or `next`.
    pub(super) fn first(&self) -> u64 {
        lock(&self.segments).first().map_or(1, |segment| segment.header.first).min(self.next())
    }

    /// Records known to be damaged.
    pub(super) fn lost(&self) -> u64 {
        lock(&self.damage).records
    }

    /// The damaged ranges that are remembered, as `first..until`, in order.
    pub(super) fn damaged(&self) -> Vec<(u64, u64)> {
        let mut damaged = lock(&self.damage).named.clone();
        damaged.sort_unstable();
        damaged
    }

    /// Whether a record is known to be damaged.
    pub(super) fn is_damaged(&self, sequence: u64) -> bool {
        lock(&self.damage).named.iter().any(|(first, until)| (*first..*until).contains(&sequence))
    }

    /// All segments, oldest first.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        lock(&self.segments).clone()
    }

    /// The last segment.
    pub(super) fn last(&self) -> Option<Arc<Segment>> {
        lock(&self.segments).last().cloned()
    }

    /// Adds a new last segment. For the writer only.
    pub(super) fn push(&self, segment: Arc<Segment>) {
        lock(&self.segments).push(segment);
    }

    /// Bytes of all frames, and the number of segments.
    pub(super) fn size(&self) -> (u64, usize) {
        let segments = lock(&self.segments);
        (segments.iter().map(|segment| segment.extent(|extent| extent.end)).sum(), segments.len())
    }

    /// Removes the oldest segments, as many as are given; another must follow them. For the writer only.
    ///
    /// # Errors
    /// `Io`; what was removed before is gone.
    pub(super) fn drop_oldest(&self, count: usize) -> Result<(), LogError> {
        for _ in 0..count {
            let path = lock(&self.segments).remove(0).path.clone();
            self.storage.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        let first = self.first();
        lock(&self.damage).named.retain(|(_, until)| *until > first);
        self.storage.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))
    }

    /// Hands `take` each visible frame that holds a record at or after `from`, until it answers false. The sequence to
    /// go on from: everything before it was handed out or is lost.
    ///
    /// # Errors
    /// `Io`; `Corrupt` if damage cannot be passed.
    pub(super) fn read(&self, from: u64, take: &mut dyn FnMut(&Frame, Bytes) -> bool) -> Result<u64, LogError> {
        let visible = self.next();
        let mut position = from.max(self.first());
        while position < visible {
            let segments = self.segments();
            let after = segments.partition_point(|segment| segment.header.first <= position);
            let Some(segment) = after.checked_sub(1).and_then(|at| segments.get(at)) else { break };
            let (reached, more) = self.read_segment(segment, position, visible, take)?;
            // What a segment lacks before the next one begins is lost.
            let until = segments.get(after).map_or(visible, |next| next.header.first);
            position = if more { reached.max(until.min(visible)) } else { reached };
            if !more {
                break;
            }
        }
        Ok(position.max(from))
    }

    fn read_segment(
        &self,
        segment: &Segment,
        from: u64,
        visible: u64,
        take: &mut dyn FnMut(&Frame, Bytes) -> bool,
    ) -> Result<(u64, bool), LogError> {
        let (mut at, end) = segment.extent(|extent| (extent.seek(from), extent.end));
        let mut window = Window::up_to(&segment.path, segment.file.as_ref(), end, CHUNK);
        let mut position = from;
        while at < end {
            let hole = segment.extent(|extent| extent.holes.iter().find(|hole| hole.offset == at).copied());
            if let Some(hole) = hole {
                if hole.resume <= at {
                    break;
                }
                (at, position) = (hole.resume, position.max(hole.until));
                continue;
            }
            match window.frame(at, segment.header.salt)? {
                Some((found, _)) if found.frame.sequence >= visible => break,
                Some((found, payload)) => {
                    if found.frame.next() > from {
                        position = found.frame.next();
                        if !take(&found.frame, Bytes::copy_from_slice(payload)) {
                            return Ok((position, false));
                        }
                    }
                    at += found.span() as u64;
                }
                None => self.look_again(segment, at)?,
            }
        }
        Ok((position, true))
    }

    /// A frame that checked when the log was opened does not now, or cannot be read: finds out how much is lost.
    fn look_again(&self, segment: &Segment, at: u64) -> Result<(), LogError> {
        if self.find_holes(segment, segment.file.as_ref())?.iter().any(|hole| hole.offset == at) {
            return Ok(());
        }
        let what = format!("a frame at byte {at} reads differently each time");
        Err(LogError::Corrupt { path: segment.path.clone(), what })
    }

    /// Reads a sealed segment back from disk and takes note of what is damaged, see `writer.rs`.
    pub(super) fn verify(&self, segment: &Segment) -> Result<(), LogError> {
        let file = self.storage.open(&segment.path).map_err(LogError::io("open", &segment.path))?;
        self.find_holes(segment, file.as_ref()).map(drop)
    }

    /// Looks for damage in a segment that was whole, takes note of it, and reports what was not known.
    fn find_holes(&self, segment: &Segment, file: &dyn File) -> Result<Vec<Hole>, LogError> {
        let until = segment.extent(|extent| extent.next);
        let mut window = Window::whole(&segment.path, file, STRIDE)?;
        let holes = scan(&mut window, &segment.header, End::Before(until), &mut |_, _| {})?.extent.holes;
        let known = segment.extent(|extent| std::mem::replace(&mut extent.holes, holes.clone()));
        let new: Vec<Hole> = holes.iter().filter(|hole| !known.contains(hole)).copied().collect();
        self.report(&segment.path, &new);
        Ok(holes)
    }
}
