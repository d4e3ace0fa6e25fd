//! Room that is kept for finishing what was begun. A full disk takes in no events any more; those that it has are still
//! delivered, and what becomes of them must be written down. So a file keeps some space, which is given up for that.
//! From then on no event is taken in, until the file fits again: that is tried each second, and nobody has to help.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::storage::{Storage, is_full};
use crate::LogError;
use crate::lock::lock;

/// The file's name.
pub(super) const RESERVE: &str = "reserve";
/// One part of so many of the file system is kept, between these bounds: settling a hundred thousand events takes about
/// 1 MiB, burying or retrying one takes what it has.
const SHARE: u64 = 8;
const LEAST_RESERVE: u64 = 256 << 10;
const MOST_RESERVE: u64 = 16 << 20;

/// The space that is kept.
pub(super) struct Space {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    bytes: u64,
    /// The file is there. Held while it is made or given up.
    held: Mutex<bool>,
    /// The disk is full, and the space was given up or could not be had.
    spent: AtomicBool,
}

impl Space {
    /// Keeps space in `root`, if there is some. Blocks.
    ///
    /// # Errors
    /// `Io`: how large the file system is cannot be asked.
    pub(super) fn open(storage: Arc<dyn Storage>, root: &Path) -> Result<Self, LogError> {
        let capacity = storage.capacity(root).map_err(LogError::io("ask for the size of", root))?;
        let bytes = (capacity / SHARE).clamp(LEAST_RESERVE, MOST_RESERVE);
        let (held, spent) = (Mutex::new(false), AtomicBool::new(false));
        let space = Self { storage, path: root.join(RESERVE), bytes, held, spent };
        space.tend();
        Ok(space)
    }

    /// Whether no event may be taken in.
    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Acquire)
    }

    /// Gives the space up for something that must be written. False when there is none to give. Blocks.
    pub(super) fn spend(&self) -> bool {
        let mut held = lock(&self.held);
        self.spent.store(true, Ordering::Release);
        if !*held {
            return false;
        }
        *held = false;
        tracing::error!(path = %self.path.display(), "the disk is full: no events are taken in, those that are here are delivered");
        self.storage.remove(&self.path).is_ok()
    }

    /// Keeps space again if it was given up and there is some. Blocks.
    pub(super) fn tend(&self) {
        let mut held = lock(&self.held);
        if *held {
            return;
        }
        match self.make() {
            Ok(()) => {
                *held = true;
                if self.spent.swap(false, Ordering::AcqRel) {
                    tracing::info!(path = %self.path.display(), "the disk has space again: events are taken in");
                }
            }
            Err(error) => {
                let full = is_full(&error);
                if self.spent.swap(full, Ordering::AcqRel) != full || !full {
                    tracing::warn!(path = %self.path.display(), %error, "cannot keep space for settling events");
                }
            }
        }
    }

    fn make(&self) -> std::io::Result<()> {
        let kept = self.storage.open(&self.path).and_then(|file| file.size());
        if kept.is_ok_and(|size| size == self.bytes) {
            return Ok(());
        }
        let file = self.storage.create(&self.path)?;
        let made = file.allocate(0, self.bytes).and_then(|()| file.sync());
        if made.is_err() {
            // It may have taken what there was.
            self.storage.remove(&self.path)?;
        }
        made
    }
}
