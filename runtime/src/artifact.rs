//! Compiled components on disk. An artifact is two files: `KEY.cwasm`, wasmtime's code and nothing else, so that it
//! can be mapped; and `KEY.seal`, our header with a MAC over itself and the code. Loading compiled code is running
//! it, so nothing is loaded that this node did not make. Separate, because this is the one place that trusts a disk.
//!
//! ```text
//! seal: magic "weftseal" | format u16 | oldest reader u16 | key 32 | length of the code u64 | HMAC-SHA256 32   (LE)
//! ```
//!
//! Neither file is synced: an artifact that a crash tore does not verify, and is compiled again. The node's key is: a
//! torn one would keep the node from starting.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, Permissions},
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::{StartError, component};

/// Version of the format, which is part of each key: files of another version are never looked at.
const FORMAT: u16 = 1;
/// The oldest reader that may read this format.
const OLDEST_READER: u16 = 1;
const MAGIC: &[u8; 8] = b"weftseal";
const KEY_FILE: &str = "node.key";
/// The extension of files that are being written, and are renamed when they are whole.
const UNFINISHED: &str = "new";
const MAC_BYTES: usize = 32;
const HEADER_BYTES: usize = MAGIC.len() + 2 + 2 + 32 + 8;
/// Bytes hashed at a time.
const CHUNK: usize = 64 * 1024;
/// Artifacts remembered as verified; beyond, the memory begins anew and files are hashed again.
const VERIFIED_MAX: usize = 4_096;

/// SHA-256 of something.
pub(crate) type Hash256 = [u8; 32];

/// The artifacts of a node.
pub(crate) struct Artifacts {
    dir: PathBuf,
    node_key: Hash256,
    /// Everything but the module that code depends on.
    engine: Hash256,
    /// Files whose MAC was right, as they were then.
    verified: Mutex<HashMap<Hash256, FileId>>,
}

/// Which file this is, in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileId {
    fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        let modified = (meta.mtime(), meta.mtime_nsec());
        Ok(Self { device: meta.dev(), inode: meta.ino(), size: meta.len(), modified })
    }
}

impl Artifacts {
    /// Opens the directory, or makes it.
    pub(crate) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, StartError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Artifacts { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed(dir))?;
        remove_unfinished(dir).map_err(failed(dir))?;
        let key_file = dir.join(KEY_FILE);
        let node_key = node_key(&key_file).map_err(failed(&key_file))?;
        let engine = depends_on(engine);
        Ok(Self { dir: dir.to_owned(), node_key, engine, verified: Mutex::default() })
    }

    /// The file of this module's code, if it is here and this node made it. A file that does not verify is as good as
    /// none, and is said in the log.
    pub(crate) fn find(&self, module: &Hash256) -> io::Result<Option<PathBuf>> {
        let key = self.key(module);
        let path = self.path(&key, "cwasm");
        let mut code = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = FileId::of(&code)?;
        if self.verified().get(&key) == Some(&id) {
            return Ok(Some(path));
        }
        if !self.seal_is_right(&key, &mut code, id.size)? {
            tracing::warn!(target: "weft::runtime", path = %path.display(), "refusing a compiled artifact that this node did not make, or that was changed");
            return Ok(None);
        }
        self.remember(key, id);
        Ok(Some(path))
    }

    /// Keeps the code of this module and returns its file.
    pub(crate) fn keep(&self, module: &Hash256, code: &[u8]) -> io::Result<PathBuf> {
        let key = self.key(module);
        let header = header(&key, u64::try_from(code.len()).unwrap_or(u64::MAX));
        let mut mac = self.mac();
        mac.update(&header);
        mac.update(code);
        let seal = [&header[..], &mac.finalize().into_bytes()[..]].concat();
        let path = self.path(&key, "cwasm");
        self.replace(&path, code)?;
        self.replace(&self.path(&key, "seal"), &seal)?;
        let id = FileId::of(&File::open(&path)?)?;
        self.remember(key, id);
        Ok(path)
    }

    /// Removes the artifact of this module. Code that is mapped stays mapped.
    pub(crate) fn remove(&self, module: &Hash256) -> io::Result<bool> {
        let key = self.key(module);
        self.verified().remove(&key);
        let seal = gone(fs::remove_file(self.path(&key, "seal")))?;
        let code = gone(fs::remove_file(self.path(&key, "cwasm")))?;
        Ok(seal || code)
    }

    fn key(&self, module: &Hash256) -> Hash256 {
        Sha256::new().chain_update(self.engine).chain_update(module).finalize().into()
    }

    fn path(&self, key: &Hash256, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", hex(key)))
    }

    fn mac(&self) -> Hmac<Sha256> {
        // A key shorter than SHA-256's block of 64 bytes is padded with zeroes (RFC 2104 section 2).
        let mut block = [0_u8; 64];
        block[..self.node_key.len()].copy_from_slice(&self.node_key);
        Hmac::new(&block.into())
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<Hash256, FileId>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, key: Hash256, id: FileId) {
        let mut verified = self.verified();
        if verified.len() >= VERIFIED_MAX {
            verified.clear();
        }
        verified.insert(key, id);
    }

    fn seal_is_right(&self, key: &Hash256, code: &mut File, size: u64) -> io::Result<bool> {
        let mut seal = Vec::with_capacity(HEADER_BYTES + MAC_BYTES);
        match File::open(self.path(key, "seal")) {
            Ok(file) => file.take((HEADER_BYTES + MAC_BYTES + 1) as u64).read_to_end(&mut seal)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let header = header(key, size);
        let Some(tag) = seal.strip_prefix(&header[..]) else { return Ok(false) };
        let mut mac = self.mac();
        mac.update(&header);
        let mut chunk = vec![0; CHUNK];
        loop {
            match code.read(&mut chunk)? {
                0 => return Ok(mac.verify_slice(tag).is_ok()),
                read => mac.update(&chunk[..read]),
            }
        }
    }

    /// Writes beside the file and renames, so that nobody ever maps a file that is still written.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let beside = self.dir.join(format!("{}.{UNFINISHED}", hex(&random()?[..8])));
        let written =
            create(&beside).and_then(|mut file| file.write_all(bytes)).and_then(|()| fs::rename(&beside, path));
        if written.is_err() {
            // The first error is the one to report; what cannot be removed is a stray file.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn header(key: &Hash256, size: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let parts: [&[u8]; 5] =
        [MAGIC, &FORMAT.to_le_bytes(), &OLDEST_READER.to_le_bytes(), key.as_slice(), &size.to_le_bytes()];
    header.copy_from_slice(&parts.concat());
    header
}

/// Everything but the module that code depends on: our format, the engine with its settings and this machine's
/// features, and the adapter that may be linked in.
fn depends_on(engine: &wasmtime::Engine) -> Hash256 {
    struct Sha(Sha256);
    impl Hasher for Sha {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0 // never asked for: the whole digest is taken instead
        }
    }
    let mut sha = Sha(Sha256::new_with_prefix(b"weft artifact"));
    FORMAT.hash(&mut sha);
    engine.precompile_compatibility_hash().hash(&mut sha);
    sha.write(&Sha256::digest(component::ADAPTER));
    sha.0.finalize().into()
}

/// Removes what a crash left of files that were being written.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            gone(fs::remove_file(path))?;
        }
    }
    Ok(())
}

/// Reads the key of this node, or makes one.
fn node_key(path: &Path) -> io::Result<Hash256> {
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the key does not have 32 bytes; remove it to have all artifacts compiled again",
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = random()?;
            let beside = path.with_extension(UNFINISHED);
            let mut file = create(&beside)?;
            file.write_all(&key)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            Ok(key)
        }
        Err(error) => Err(error),
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn random() -> io::Result<Hash256> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

fn gone(removed: io::Result<()>) -> io::Result<bool> {
    match removed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
