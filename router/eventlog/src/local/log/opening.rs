//! Opening a log: which files are its segments, what they hold, and what is put right before anything is written.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::super::mark;
use super::super::record::Found;
use super::super::recovery::{End, Scan, scan};
use super::super::segment::{HEADER, Header, Hole, Segment, file_name, ordinal_of};
use super::super::storage::{File, Storage};
use super::super::window::Window;
use super::{STRIDE, SegmentLog};
use crate::LogError;
use crate::lock::lock;

/// A segment whose content has not been read yet.
type Candidate = (PathBuf, Arc<dyn File>, Header);

impl SegmentLog {
    /// Opens the log, reading all of it: `visit` sees each valid frame with its payload. Cuts a torn tail.
    ///
    /// # Errors
    /// `NewerFormat`, before anything is changed; `Io`.
    pub(in crate::local) fn open(
        storage: Arc<dyn Storage>,
        dir: PathBuf,
        name: String,
        visit: &mut dyn FnMut(&Found, &[u8]),
    ) -> Result<Self, LogError> {
        let hash: [u8; 32] = Sha256::digest(name.as_bytes()).into();
        let id = u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]]);
        storage.create_dir(&dir).map_err(LogError::io("create", &dir))?;
        let known = mark::read(storage.as_ref(), &dir, id);
        let (segments, visible, damage) = (Mutex::default(), AtomicU64::new(1), Mutex::default());
        let log = Self { name, dir, storage, id, segments, visible, known, damage };
        let found = log.headers()?;
        for (at, (path, file, header)) in found.iter().enumerate() {
            let end = found.get(at + 1).map_or(End::Open(known.durable), |(_, _, next)| End::Before(next.first));
            let mut window = Window::whole(path, file.as_ref(), STRIDE)?;
            let scan = scan(&mut window, header, end, visit)?;
            log.adopt(path.clone(), file.clone(), *header, scan)?;
        }
        log.report_missing(found.first().map_or(known.durable, |(_, _, header)| header.first));
        Ok(log)
    }

    /// The segments that are what their names say, in order. Others are put aside, never deleted; a segment that was
    /// being made when the power went is not one yet.
    fn headers(&self) -> Result<Vec<Candidate>, LogError> {
        let names = self.storage.list(&self.dir).map_err(LogError::io("list", &self.dir))?;
        let mut ordinals: Vec<u64> = names.iter().filter_map(|name| ordinal_of(name)).collect();
        ordinals.sort_unstable();
        let (mut aside, mut unfinished) = (Vec::new(), None);
        let mut found: Vec<Candidate> = Vec::new();
        for (at, ordinal) in ordinals.iter().enumerate() {
            let path = self.dir.join(file_name(*ordinal));
            let file = self.storage.open(&path).map_err(LogError::io("open", &path))?;
            let mut window = Window::whole(&path, file.as_ref(), HEADER)?;
            let header = Header::decode(&path, window.at(0, HEADER)?)?;
            let last = found.last().map_or(0, |(_, _, header)| header.first);
            match header {
                Some(header) if header.ordinal == *ordinal && header.log == self.id && header.first >= last => {
                    found.push((path, file, header));
                }
                None if at + 1 == ordinals.len() && window.is_zero(HEADER as u64)? => unfinished = Some(path),
                _ => aside.push(path),
            }
        }
        for path in aside {
            let to = path.with_extension("seg.damaged");
            tracing::error!(log = %self.name, path = %path.display(), "a segment's header is damaged or another log's; put aside");
            self.storage.rename(&path, &to).map_err(LogError::io("put aside", &path))?;
        }
        if let Some(path) = unfinished {
            tracing::warn!(log = %self.name, path = %path.display(), "removed a segment that was being made");
            self.storage.remove(&path).map_err(LogError::io("remove", &path))?;
        }
        Ok(found)
    }

    /// Names what was kept, as the mark says, and is before everything that is there.
    fn report_missing(&self, until: u64) {
        let first = self.known.first.max(1);
        if self.known.durable > 1 && first < until {
            self.report(&self.dir, &[Hole { first, until, offset: 0, resume: 0 }]);
        }
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
}
