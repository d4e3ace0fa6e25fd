//! The bytes of modules, by what they are: one file per SHA-256 under the data directory. The runtime keeps what it
//! compiled; this keeps what it was compiled from, so that a node with a new engine can compile again.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use weft_eventlog::Clock;

/// Largest module in bytes: components made from Python have 18 MiB. The runtime has the same limit.
pub const MODULE_BYTES_MAX: u64 = 64 << 20;

/// How long an uploaded module waits for the apply that names it before it may be removed, in milliseconds: ten minutes
/// is longer than any upload of a folder.
const UPLOAD_KEPT_MS: u64 = 600_000;

/// Uploads that are remembered as waiting for their apply. One folder hardly has more functions than that.
const UPLOADS_MAX: usize = 1_024;

/// Bytes hashed at a time.
const CHUNK: usize = 64 << 10;

/// SHA-256 of a module's bytes. Written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModuleDigest([u8; 32]);

impl ModuleDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a regular file of at most [`MODULE_BYTES_MAX`], read piece by piece. Blocks.
    ///
    /// # Errors
    /// What the file system said, or a phrase that the path is no regular file or is too large.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        let mut file = open_module(path)?;
        let (mut hash, mut chunk) = (Sha256::new(), vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(Self(hash.finalize().into())),
                read => hash.update(&chunk[..read]),
            }
        }
    }

    /// The 32 bytes.
    pub const fn get(self) -> [u8; 32] {
        self.0
    }
}

impl From<[u8; 32]> for ModuleDigest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ModuleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a module's digest is 64 lower-case hexadecimal digits of SHA-256")]
pub struct NotADigest;

impl FromStr for ModuleDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NotADigest),
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return Err(NotADigest);
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

/// Why a module could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// More bytes than the node takes.
    #[error("the module has {0} bytes, more than the limit of {MODULE_BYTES_MAX}; strip debug information")]
    TooLarge(u64),
    /// The bytes are not those that were announced.
    #[error("the bytes have the digest {found}, not {expected}; send them again")]
    Mismatch {
        /// What they were to have.
        expected: ModuleDigest,
        /// What they have.
        found: ModuleDigest,
    },
    /// No such module is kept.
    #[error("the module {0} is not in the node's store; deploy it again")]
    Unknown(ModuleDigest),
    /// The file did not match its name and was removed.
    #[error("the stored module {0} was damaged and has been removed; deploy it again")]
    Damaged(ModuleDigest),
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Whether a put brought something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// The module is kept now.
    New,
    /// It was kept already.
    Known,
}

/// The store. Its directory is the node's alone.
pub struct ModuleStore {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    /// Distinguishes temporary files of simultaneous uploads.
    writes: AtomicU64,
    /// When each module was last uploaded, Unix milliseconds.
    uploads: Mutex<HashMap<ModuleDigest, u64>>,
}

impl ModuleStore {
    /// Opens the directory, creating it if there is none, and removes what interrupted uploads left. Blocks briefly.
    ///
    /// # Errors
    /// [`ModuleError::Io`].
    pub fn open(dir: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Result<Self, ModuleError> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        for path in files(&dir)? {
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(Self { dir, clock, writes: AtomicU64::new(0), uploads: Mutex::default() })
    }

    /// Whether the module is kept.
    pub fn contains(&self, digest: ModuleDigest) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps the module durably, after checking that the bytes are what `digest` says. Blocks on the disk.
    ///
    /// # Errors
    /// `TooLarge`, `Mismatch`, `Io`.
    pub fn put(&self, digest: ModuleDigest, bytes: &[u8]) -> Result<Put, ModuleError> {
        check_size(bytes.len() as u64)?;
        let found = ModuleDigest::of(bytes);
        if found != digest {
            return Err(ModuleError::Mismatch { expected: digest, found });
        }
        self.remember(digest);
        let path = self.path(digest);
        if path.is_file() {
            return Ok(Put::Known);
        }
        let temporary = self.dir.join(format!("{digest}.{}.tmp", self.writes.fetch_add(1, Ordering::Relaxed)));
        let written = write_synced(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .and_then(|()| File::open(&self.dir)?.sync_all());
        written.map(|()| Put::New).map_err(|source| {
            // The first error is the one to report; an unfinished file goes at the next start at the latest.
            let _ = fs::remove_file(&temporary);
            ModuleError::Io { action: "write", path, source }
        })
    }

    /// Reads a module and checks that it is what its name says. Blocks on the disk.
    ///
    /// # Errors
    /// `Unknown`, `Damaged`, `Io`.
    pub fn get(&self, digest: ModuleDigest) -> Result<Bytes, ModuleError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ModuleError::Unknown(digest)),
            Err(source) => return Err(ModuleError::Io { action: "read", path, source }),
        };
        if ModuleDigest::of(&bytes) == digest {
            return Ok(bytes.into());
        }
        fs::remove_file(&path).map_err(io_error("remove", &path))?;
        Err(ModuleError::Damaged(digest))
    }

    /// Removes every module that is not in `keep` and was not uploaded within the last ten minutes. Blocks on the disk.
    ///
    /// # Errors
    /// `Io`.
    pub fn sweep(&self, keep: &BTreeSet<ModuleDigest>) -> Result<Vec<ModuleDigest>, ModuleError> {
        let now = self.clock.now_ms();
        self.lock().retain(|_, at| now.saturating_sub(*at) < UPLOAD_KEPT_MS);
        let mut removed = Vec::new();
        for path in files(&self.dir)? {
            let digest = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".wasm")?.parse().ok());
            let Some(digest) = digest.filter(|digest| !keep.contains(digest)) else { continue };
            // Held over the removal, so that an upload of the same module either comes before and keeps it, or after
            // and writes it anew.
            let uploads = self.lock();
            if !uploads.contains_key(&digest) {
                fs::remove_file(&path).map_err(io_error("remove", &path))?;
                removed.push(digest);
            }
        }
        Ok(removed)
    }

    fn remember(&self, digest: ModuleDigest) {
        let mut uploads = self.lock();
        if uploads.len() >= UPLOADS_MAX {
            let oldest = uploads.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| *digest);
            oldest.and_then(|oldest| uploads.remove(&oldest));
        }
        uploads.insert(digest, self.clock.now_ms());
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ModuleDigest, u64>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: ModuleDigest) -> PathBuf {
        self.dir.join(format!("{digest}.wasm"))
    }
}

/// Reads a module from where its author built it. Blocks.
///
/// # Errors
/// As [`ModuleDigest::of_file`].
pub fn read_file(path: &Path) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    // It may have grown since it was opened: half a module is none.
    open_module(path)?.take(MODULE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    check_size(bytes.len() as u64).map_err(io::Error::other)?;
    Ok(bytes.into())
}

/// Whether [`read_file`] would take the file. Blocks.
///
/// # Errors
/// As [`ModuleDigest::of_file`].
pub fn check_file(path: &Path) -> io::Result<()> {
    open_module(path).map(drop)
}

fn open_module(path: &Path) -> io::Result<File> {
    // Asked before it is opened: opening a pipe would wait for its other end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let file = File::open(path)?;
    check_size(file.metadata()?.len()).map_err(io::Error::other)?;
    Ok(file)
}

fn check_size(bytes: u64) -> Result<(), ModuleError> {
    if bytes > MODULE_BYTES_MAX { Err(ModuleError::TooLarge(bytes)) } else { Ok(()) }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, ModuleError> {
    let entries = fs::read_dir(dir).map_err(io_error("list", dir))?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(io_error("list", dir))).collect()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ModuleError {
    let path = path.to_owned();
    move |source| ModuleError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
