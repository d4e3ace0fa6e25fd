//! Appending frames to a log. Synchronous and with one owner: the committer of the log. Separate from reading because
//! only here can something be acknowledged.
//!
//! After a failed write or sync nobody knows what the file holds, and syncing again would prove nothing (the kernel
//! drops what it could not write). So the segment is sealed as it is, read back, and never written again. The next
//! commit begins a new segment whose first sequence says where the sealed one ends.

use std::sync::Arc;

use super::log::SegmentLog;
use super::mark::{Known, Mark};
use super::record::{Found, Frame, Look, look};
use super::segment::{Extent, HEADER, Header, Segment, file_name};
use super::storage::{File, is_full};
use crate::LogError;
use crate::defects::{Defect, seeded};

/// What a frame is made from.
pub(super) struct Draft {
    /// How many sequences it takes.
    pub(super) count: u32,
    pub(super) payload: Vec<u8>,
}

/// How a log is laid out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// A segment that has reached this is followed by a new one.
    pub(super) segment_bytes: u64,
    /// Space is reserved in steps of this.
    pub(super) reserve: u64,
    /// Losing its end must never go unnoticed: it has a mark.
    pub(super) marked: bool,
}

/// The writing end of a log.
pub(super) struct Writer {
    pub(super) log: Arc<SegmentLog>,
    pub(super) layout: Layout,
    /// Space is short: none is reserved ahead.
    pub(super) frugal: bool,
    active: Option<Arc<Segment>>,
    /// How far the active segment's space is reserved.
    reserved: u64,
    next: u64,
    /// Everything below is synced.
    durable: u64,
    mark: Option<Mark>,
    pub(super) syncs: u64,
    pub(super) failures: u64,
}

impl Writer {
    /// Goes on where the log ends.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn new(log: Arc<SegmentLog>, layout: Layout, now_ms: u64) -> Result<Self, LogError> {
        let (next, known) = (log.next(), log.known);
        // A last segment that ends in damage is not written again.
        let active =
            log.last().filter(|last| last.extent(|extent| extent.holes.iter().all(|hole| hole.resume > hole.offset)));
        let mark = layout.marked.then(|| Mark::open(log.storage.as_ref(), &log.dir, log.id)).transpose()?;
        let (reserved, durable) = (0, 1);
        let mut writer =
            Self { log, layout, frugal: false, active, reserved, next, durable, mark, syncs: 0, failures: 0 };
        if let Some(active) = &writer.active {
            writer.reserved = active.file.size().map_err(LogError::io("read", &active.path))?;
            // What a process wrote before it was killed is not durable yet, and is about to be served.
            active.file.sync().map_err(LogError::io("sync", &active.path))?;
        }
        writer.durable = next;
        if writer.log.last().is_none() {
            // All segments are gone; their sequences are not used again.
            writer.skip_to(known.durable, now_ms)?;
        }
        Ok(writer)
    }

    /// The sequence the next frame begins with.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Everything below is on stable storage.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// Bytes written and not synced exist.
    pub(super) fn is_dirty(&self) -> bool {
        self.durable < self.next
    }

    /// Writes the frames as one and, if `sync`, waits for the disk. Readers see them when this returns.
    ///
    /// # Errors
    /// `Io`: nothing of it counts.
    pub(super) fn commit(&mut self, drafts: &[Draft], now_ms: u64, sync: bool) -> Result<(), LogError> {
        if seeded(Defect::D5) && sync && drafts.len() > 1 {
            return self.commit_late(drafts, now_ms);
        }
        let size: usize = drafts.iter().map(|draft| super::record::FRAME_HEADER + draft.payload.len() + 8).sum();
        let segment = self.segment_for(size as u64, now_ms)?;
        let (end, crc) = segment.extent(|extent| (extent.end, extent.crc));
        let (bytes, next) = self.encode(drafts, segment.header.salt, crc, now_ms, size);
        // Without space nothing was written, so that nothing is in doubt.
        self.reserve(&segment, end + bytes.len() as u64)?;
        let written = segment.file.write_at(&bytes, end).map_err(LogError::io("write", &segment.path));
        if let Err(error) = written {
            return Err(self.seal(&segment, error));
        }
        if sync {
            self.sync(&segment)?;
        }
        note(&segment, &bytes, end);
        self.next = next;
        if sync {
            self.durable = next;
        }
        self.log.show(next);
        Ok(())
    }

    /// D5: the last of the group is written after the sync.
    fn commit_late(&mut self, drafts: &[Draft], now_ms: u64) -> Result<(), LogError> {
        let (joined, late) = drafts.split_at(drafts.len() - 1);
        self.commit(joined, now_ms, true)?;
        self.commit(late, now_ms, false)?;
        self.durable = self.next;
        Ok(())
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// `Io`: the segment is sealed.
    pub(super) fn flush(&mut self) -> Result<(), LogError> {
        // Nothing is active after a seal: then what is not synced stays in doubt.
        if let Some(segment) = self.active.clone().filter(|_| self.is_dirty()) {
            self.sync(&segment)?;
            self.durable = self.next;
        }
        Ok(())
    }

    /// Writes down how far the log is synced.
    pub(super) fn mark(&mut self) {
        let known = Known { first: self.log.first(), durable: self.durable };
        if let Some(mark) = &mut self.mark {
            mark.write(known);
        }
    }

    /// Makes everything written durable, and the mark too.
    ///
    /// # Errors
    /// `Io`: the segment is sealed.
    pub(super) fn close(&mut self) -> Result<(), LogError> {
        let flushed = self.flush();
        self.mark();
        if let Some(mark) = &self.mark {
            mark.sync();
        }
        flushed
    }

    /// Removes the oldest segment while another follows it and `goes` says so. How many went.
    ///
    /// # Errors
    /// `Io`; some may be gone.
    pub(super) fn drop_while(&mut self, mut goes: impl FnMut(&Segment, &Segment) -> bool) -> Result<usize, LogError> {
        let segments = self.log.segments();
        let count = segments.windows(2).take_while(|pair| goes(&pair[0], &pair[1])).count();
        if count > 0 {
            let known = Known { first: segments[count].header.first, durable: self.durable };
            if let Some(mark) = &mut self.mark {
                mark.write_for_good(known);
            }
            self.log.drop_oldest(count)?;
        }
        Ok(count)
    }

    /// Goes on at `next`, if that is further: a reader has seen sequences that the log has lost, and they must not be
    /// used again.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn skip_to(&mut self, next: u64, now_ms: u64) -> Result<(), LogError> {
        if next > self.next {
            tracing::error!(log = %self.log.name, first = self.next, last = next - 1, "acknowledged records are missing at the end");
            self.flush()?;
            self.next = next;
            self.begin(now_ms)?;
            self.durable = next;
            self.log.show(next);
        }
        Ok(())
    }

    /// Ends the active segment, so that it can be dropped.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn roll(&mut self, now_ms: u64) -> Result<(), LogError> {
        let Some(full) = self.active.clone() else { return Ok(()) };
        let end = full.extent(|extent| extent.end);
        if end == HEADER as u64 {
            return Ok(());
        }
        self.flush()?;
        // Gives the reserved space back; if that fails nothing is lost but space.
        if let Err(error) = full.file.set_size(end).and_then(|()| full.file.sync()) {
            tracing::warn!(log = %self.log.name, path = %full.path.display(), %error, "cannot shorten a full segment");
        }
        self.begin(now_ms)?;
        self.mark();
        Ok(())
    }

    fn segment_for(&mut self, size: u64, now_ms: u64) -> Result<Arc<Segment>, LogError> {
        match self.active.clone() {
            None => self.begin(now_ms),
            Some(active) => {
                let end = active.extent(|extent| extent.end);
                if end > HEADER as u64 && end + size > self.layout.segment_bytes {
                    self.roll(now_ms)?;
                }
                self.active.clone().ok_or_else(|| LogError::Closed { name: self.log.name.clone() })
            }
        }
    }

    fn encode(&self, drafts: &[Draft], salt: u32, crc: u32, now_ms: u64, size: usize) -> (Vec<u8>, u64) {
        let mut bytes = Vec::with_capacity(size);
        let (mut sequence, mut previous) = (self.next, crc);
        for Draft { count, payload } in drafts {
            let watermark = self.durable.saturating_sub(1);
            let frame = Frame { sequence, count: *count, previous, watermark, admitted_ms: now_ms };
            previous = frame.encode(salt, payload, &mut bytes);
            sequence = frame.next();
        }
        (bytes, sequence)
    }

    fn reserve(&mut self, segment: &Segment, end: u64) -> Result<(), LogError> {
        if end > self.reserved {
            let least = end - self.reserved;
            let step = self.allocate(segment.file.as_ref(), self.reserved, least);
            self.reserved += step.map_err(LogError::io("reserve space in", &segment.path))?;
        }
        Ok(())
    }

    /// Reserves a step from `from` on or, when there is no space for that, `least` bytes; how many.
    fn allocate(&self, file: &dyn File, from: u64, least: u64) -> std::io::Result<u64> {
        let step = if self.frugal { least } else { self.layout.reserve.max(least) };
        match file.allocate(from, step) {
            Err(error) if is_full(&error) && least < step => file.allocate(from, least).map(|()| least),
            done => done.map(|()| step),
        }
    }

    fn sync(&mut self, segment: &Arc<Segment>) -> Result<(), LogError> {
        self.syncs += 1;
        let mut synced = if seeded(Defect::D1) { Ok(()) } else { segment.file.sync() };
        if seeded(Defect::D4) && synced.is_err() {
            synced = segment.file.sync();
        }
        let synced = synced.map_err(LogError::io("sync", &segment.path));
        synced.map_err(|error| self.seal(segment, error))
    }

    /// The segment is in doubt: it keeps what was acknowledged, and nothing more is written to it.
    fn seal(&mut self, segment: &Segment, error: LogError) -> LogError {
        self.failures += 1;
        self.active = None;
        tracing::error!(log = %self.log.name, path = %segment.path.display(), %error, "sealed a segment after a failed write or sync");
        if let Err(error) = self.log.verify(segment) {
            tracing::error!(log = %self.log.name, path = %segment.path.display(), %error, "cannot read a sealed segment back");
        }
        error
    }

    /// Begins a new last segment. It counts once it is on stable storage, name and all.
    fn begin(&mut self, now_ms: u64) -> Result<Arc<Segment>, LogError> {
        self.active = None;
        let last = self.log.last();
        let previous = last.as_ref().map_or(0, |last| last.extent(|extent| extent.crc));
        let ordinal = last.map_or(1, |last| last.header.ordinal + 1);
        let path = self.log.dir.join(file_name(ordinal));
        let storage = self.log.storage.clone();
        let salt = storage.salt().map_err(LogError::io("choose a salt for", &path))?;
        let header = Header { salt, log: self.log.id, ordinal, first: self.next, created_ms: now_ms, previous };
        let file = storage.create(&path).map_err(LogError::io("create", &path))?;
        let least = HEADER as u64;
        let made = self.allocate(file.as_ref(), 0, least).and_then(|reserved| {
            file.write_at(&header.encode(), 0)?;
            file.sync()?;
            if !seeded(Defect::D3) {
                storage.sync_dir(&self.log.dir)?;
            }
            Ok(reserved)
        });
        let reserved = match made {
            Ok(reserved) => reserved,
            Err(error) => {
                // A leftover would be replaced by the next attempt and removed by a restart; it only takes space.
                storage
                    .remove(&path)
                    .unwrap_or_else(|error| tracing::warn!(path = %path.display(), %error, "cannot remove"));
                return Err(LogError::io("begin", &path)(error));
            }
        };
        let extent = Extent::new(self.next, previous, now_ms);
        let segment = Arc::new(Segment::new(header, path, file, extent));
        self.log.push(segment.clone());
        (self.active, self.reserved) = (Some(segment.clone()), reserved);
        Ok(segment)
    }
}

/// Enters frames that were just written into what is known of the segment.
fn note(segment: &Segment, bytes: &[u8], end: u64) {
    segment.extent(|extent| {
        let mut at = 0;
        while let Look::Frame(found) = look(&bytes[at..], segment.header.salt) {
            extent.push(&found, end + at as u64);
            at += Found::span(&found);
        }
    });
}
