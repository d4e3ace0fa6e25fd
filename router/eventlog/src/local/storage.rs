//! The file system as the engine uses it, behind a trait: where faults are injected and crashes are played. It is the
//! only file that touches the operating system, randomness included. All calls block; the engine makes them on
//! blocking threads only.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};

/// A directory tree. Paths are absolute or relative to the process; the engine stays below its data directory.
pub trait Storage: Send + Sync {
    /// Makes a directory and the ones above it. One that is there already is fine.
    ///
    /// # Errors
    /// The operating system's.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in a directory, in no order; none if there is no directory.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// The operating system's; `NotFound` when there is none.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Creates a file, or empties the one that is there.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// Gives a file or directory another name, replacing a file of that name, at once.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all it holds.
    ///
    /// # Errors
    /// The operating system's.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a directory survive a loss of power.
    ///
    /// # Errors
    /// The operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the exclusive lock of a file, made if needed, until the value is dropped; `None` when another has it.
    ///
    /// # Errors
    /// The operating system's.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;

    /// Bytes of the file system that a directory is on, free or not.
    ///
    /// # Errors
    /// The operating system's.
    fn capacity(&self, dir: &Path) -> io::Result<u64>;

    /// A random number for a new segment, see `segment.rs`.
    ///
    /// # Errors
    /// The operating system's.
    fn salt(&self) -> io::Result<u32>;
}

/// An open file.
pub trait File: Send + Sync {
    /// Its size in bytes.
    ///
    /// # Errors
    /// The operating system's.
    fn size(&self) -> io::Result<u64>;

    /// Fills the buffer from `offset`.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` when the file ends before.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes everything at `offset`.
    ///
    /// # Errors
    /// The operating system's; part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// `fdatasync`: content, and the size where it is needed to read it, are on stable storage.
    ///
    /// # Errors
    /// The operating system's. What was written since the last sync is then unknown; calling again proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Reserves space and grows the file to `offset + len`, with zeros.
    ///
    /// # Errors
    /// The operating system's; `StorageFull` when there is no space.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    /// The operating system's.
    fn set_size(&self, size: u64) -> io::Result<()>;
}

/// Whether an error says that the medium cannot give back what is there, or that the file is shorter than it was: damage,
/// as far as the bytes asked for are concerned.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Whether an error says that there is no space left for what was asked.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        // Names that are not UTF-8 are not ours.
        entries.filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose()).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(DiskFile(fs::OpenOptions::new().read(true).write(true).open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Arc::new(DiskFile(options)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(Held(file)))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        let system = rustix::fs::statvfs(dir)?;
        Ok(system.f_blocks.saturating_mul(system.f_frsize))
    }

    fn salt(&self) -> io::Result<u32> {
        getrandom::u32().map_err(io::Error::other)
    }
}

/// A locked file. Closing it is not enough to unlock it: a child process that is being started has a copy until it runs
/// its own program.
struct Held(fs::File);

impl Drop for Held {
    fn drop(&mut self) {
        // If this fails, closing still unlocks once no copy is left.
        let _unlocked = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

struct DiskFile(fs::File);

impl File for DiskFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.0, FallocateFlags::empty(), offset, len) {
            // Not every file system can reserve; growing is then enough, and a full disk is met at the write.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(offset + len),
            done => Ok(done?),
        }
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_given_up_although_a_child_process_has_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let file = fs::File::create(&path).unwrap();
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        let held = Held(file);
        let _copy = held.0.try_clone().unwrap();
        assert!(Disk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(Disk.lock(&path).unwrap().is_some());
    }
}
