//! A directory of segments as one sequence of frames: opening and reading. Topics, journals, and what a consumer writes
//! down are all logs of this kind. Writing is in `writer.rs`; one writer and many readers share this value.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::record::{FRAME_HEADER, Found, Frame, Look, look};
use super::recovery::{Scan, scan};
use super::segment::{HEADER, Header, Hole, Segment, ordinal_of};
use super::storage::{File, Storage};
use crate::LogError;
use crate::lock::lock;

/// Bytes read at once; the distance of two places of the index.
const CHUNK: u64 = 16 << 10;

/// A segment whose content has not been read yet.
type Candidate = (PathBuf, Arc<dyn File>, Header);

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
    /// Records known to be damaged.
    lost: AtomicU64,
}

impl SegmentLog {
    /// Opens the log, reading all of it: `visit` sees each valid frame with its payload. Cuts a torn tail.
    ///
    /// # Errors
    /// `NewerFormat`, before anything is changed; `Io`.
    pub(super) fn open(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        name: String,
        visit: &mut dyn FnMut(&Found, &[u8]),
    ) -> Result<Self, LogError> {
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let id = u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        storage.create_dir(&dir).map_err(LogError::io("create", &dir))?;
        let (segments, visible, lost) = (Mutex::default(), AtomicU64::new(1), AtomicU64::new(0));
        let log = Self { name, dir, storage, id, segments, visible, lost };
        let found = log.headers()?;
        for (at, (path, file, header)) in found.iter().enumerate() {
            let until = found.get(at + 1).map(|(_, _, next)| next.first);
            let scan = scan(&read_all(path, file.as_ref())?, header, until, visit);
            log.adopt(path.clone(), file.clone(), *header, scan)?;
        }
        Ok(log)
    }

    /// The segments that are what their names say, in order. Others are put aside, never deleted; a segment that was
    /// being made when the power went is not one yet.
    fn headers(&self) -> Result<Vec<Candidate>, LogError> {
        let names = self.storage.list(&self.dir).map_err(LogError::io("list", &self.dir))?;
        let mut ordinals: Vec<u64> = names.iter().filter_map(|name| ordinal_of(name)).collect();
        ordinals.sort_unstable();
        let mut aside = Vec::new();
        let mut found: Vec<Candidate> = Vec::new();
        for ordinal in ordinals {
            let path = self.dir.join(super::segment::file_name(ordinal));
            let file = self.storage.open(&path).map_err(LogError::io("open", &path))?;
            let size = file.size().map_err(LogError::io("read", &path))?;
            let mut page = vec![0; HEADER.min(usize::try_from(size).unwrap_or(HEADER))];
            file.read_at(&mut page, 0).map_err(LogError::io("read", &path))?;
            let last = found.last().map_or(0, |(_, _, header)| header.first);
            match Header::decode(&path, &page)? {
                Some(header) if header.ordinal == ordinal && header.log == self.id && header.first >= last => {
                    found.push((path, file, header));
                }
                _ => aside.push(path),
            }
        }
        for path in aside {
            let to = path.with_extension("seg.damaged");
            tracing::error!(log = %self.name, path = %path.display(), "a segment's header is damaged or another log's; put aside");
            self.storage.rename(&path, &to).map_err(LogError::io("put aside", &path))?;
        }
        Ok(found)
    }

    fn adopt(&self, path: PathBuf, file: Arc<dyn File>, header: Header, scan: Scan) -> Result<(), LogError> {
        let Scan { extent, torn } = scan;
        if torn {
            tracing::warn!(log = %self.name, path = %path.display(), next = extent.next, "cut an unacknowledged tail");
            file.set_size(extent.end).map_err(LogError::io("cut", &path))?;
            file.sync().map_err(LogError::io("sync", &path))?;
        }
        self.report(&path, &extent.holes);
        self.visible.store(extent.next, Ordering::Release);
        lock(&self.segments).push(Arc::new(Segment::new(header, path, file, extent)));
        Ok(())
    }

    fn report(&self, path: &Path, holes: &[Hole]) {
        for hole in holes {
            let (first, last) = (hole.first, hole.until - 1);
            tracing::error!(log = %self.name, path = %path.display(), first, last, "records are damaged and skipped");
            self.lost.fetch_add(hole.until - hole.first, Ordering::Relaxed);
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
        self.lost.load(Ordering::Relaxed)
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

    /// Removes the oldest segment while another follows it and `goes` says so. How many went.
    ///
    /// # Errors
    /// `Io`; what was removed before is gone.
    pub(super) fn drop_while(&self, mut goes: impl FnMut(&Segment, &Segment) -> bool) -> Result<usize, LogError> {
        let mut dropped = 0;
        loop {
            let mut segments = lock(&self.segments);
            let [oldest, next, ..] = segments.as_slice() else { break };
            if !goes(oldest, next) {
                break;
            }
            let path = segments.remove(0).path.clone();
            drop(segments);
            dropped += 1;
            self.storage.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        if dropped > 0 {
            self.storage.sync_dir(&self.dir).map_err(LogError::io("sync", &self.dir))?;
        }
        Ok(dropped)
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
        let (mut buffer, mut base, mut position) = (Bytes::new(), at, from);
        while at < end {
            let hole = segment.extent(|extent| extent.holes.iter().find(|hole| hole.offset == at).copied());
            if let Some(hole) = hole {
                if hole.resume <= at {
                    break;
                }
                (at, position) = (hole.resume, position.max(hole.until));
                continue;
            }
            let seen = usize::try_from(at.saturating_sub(base)).unwrap_or(usize::MAX);
            let window = buffer.get(seen..).unwrap_or_default();
            match look(window, segment.header.salt) {
                Look::Frame(found) if found.frame.sequence >= visible => break,
                Look::Frame(found) => {
                    if found.frame.next() > from {
                        let payload = Bytes::copy_from_slice(&window[FRAME_HEADER..FRAME_HEADER + found.length]);
                        position = found.frame.next();
                        if !take(&found.frame, payload) {
                            return Ok((position, false));
                        }
                    }
                    at += found.span() as u64;
                }
                Look::Needs(needs) if at + needs as u64 <= end => {
                    let length = CHUNK.max(needs as u64).min(end - at);
                    let mut chunk = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
                    segment.file.read_at(&mut chunk, at).map_err(LogError::io("read", &segment.path))?;
                    (buffer, base) = (chunk.into(), at);
                }
                _ => self.look_again(segment, at)?,
            }
        }
        Ok((position, true))
    }

    /// A frame that checked when the log was opened does not now: finds out how much is lost.
    fn look_again(&self, segment: &Segment, at: u64) -> Result<(), LogError> {
        let bytes = read_all(&segment.path, segment.file.as_ref())?;
        let until = segment.extent(|extent| extent.next);
        let holes = scan(&bytes, &segment.header, Some(until), &mut |_, _| {}).extent.holes;
        if !holes.iter().any(|hole| hole.offset == at) {
            let what = format!("a frame at byte {at} reads differently each time");
            return Err(LogError::Corrupt { path: segment.path.clone(), what });
        }
        let known = segment.extent(|extent| std::mem::replace(&mut extent.holes, holes.clone()));
        let new: Vec<Hole> = holes.into_iter().filter(|hole| !known.contains(hole)).collect();
        self.report(&segment.path, &new);
        Ok(())
    }

    /// Reads a sealed segment back from disk and takes note of what is damaged, see `writer.rs`.
    pub(super) fn verify(&self, segment: &Segment) -> Result<(), LogError> {
        let file = self.storage.open(&segment.path).map_err(LogError::io("open", &segment.path))?;
        let bytes = read_all(&segment.path, file.as_ref())?;
        let until = segment.extent(|extent| extent.next);
        let holes = scan(&bytes, &segment.header, Some(until), &mut |_, _| {}).extent.holes;
        self.report(&segment.path, &holes);
        segment.extent(|extent| extent.holes = holes);
        Ok(())
    }
}

fn read_all(path: &Path, file: &dyn File) -> Result<Vec<u8>, LogError> {
    let size = file.size().map_err(LogError::io("read", path))?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.read_at(&mut bytes, 0).map_err(LogError::io("read", path))?;
    Ok(bytes)
}
