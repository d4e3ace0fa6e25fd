//! Small files that are replaced as a whole: positions, checkpoints of journals, the format of the data directory.
//! Separate from segments because nothing is ever appended to them: a reader finds the old content or the new. Those that
//! nothing else could replace are a pair, the file and `<name>.copy`, so that damage to one costs nothing.
//!
//! ```text
//!  0  8 bytes  what the file is, for example "weftpos\0"
//!  8  u16      format version
//! 10  u16      oldest version that may read it
//! 12  u32      length of the content
//! 16  u32      crc32c of bytes 0..16 and the content
//! 20           content
//! ```

use std::path::Path;

use bytes::Bytes;

use super::fields::{Fields, Put as _};
use super::storage::{Storage, is_unreadable};
use crate::LogError;

/// The version these files are written in, and the oldest reader of it.
pub(super) const FORMAT: u16 = 1;
const HEADER: usize = 20;

/// Puts `content` where `name` is in `dir`. When it returns, the new content survives a loss of power.
pub(super) fn replace(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    magic: [u8; 8],
    content: &[u8],
) -> Result<(), LogError> {
    replace_all(storage, dir, &[name], magic, content)
}

/// As [`replace`], for a pair.
pub(super) fn replace_pair(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    magic: [u8; 8],
    content: &[u8],
) -> Result<(), LogError> {
    replace_all(storage, dir, &[name, &copy_of(name)], magic, content)
}

fn copy_of(name: &str) -> String {
    format!("{name}.copy")
}

fn replace_all(
    storage: &dyn Storage,
    dir: &Path,
    names: &[&str],
    magic: [u8; 8],
    content: &[u8],
) -> Result<(), LogError> {
    let bytes = encode(magic, content);
    let new = |name: &str| dir.join(format!("{name}.new"));
    for name in names {
        let new = new(name);
        let file = storage.create(&new).map_err(LogError::io("create", &new))?;
        file.write_at(&bytes, 0).map_err(LogError::io("write", &new))?;
        file.sync().map_err(LogError::io("sync", &new))?;
    }
    for name in names {
        let path = dir.join(name);
        storage.rename(&new(name), &path).map_err(LogError::io("replace", &path))?;
    }
    storage.sync_dir(dir).map_err(LogError::io("sync", dir))
}

/// The content, `None` if there is no such file.
///
/// # Errors
/// `NewerFormat`; `Corrupt` when the check fails or the disk cannot read it.
pub(super) fn read(storage: &dyn Storage, path: &Path, magic: [u8; 8]) -> Result<Option<Bytes>, LogError> {
    let file = match storage.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(LogError::io("open", path))?,
    };
    let size = file.size().map_err(LogError::io("read", path))?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    match file.read_at(&mut bytes, 0) {
        Err(error) if is_unreadable(&error) => {
            Err(LogError::Corrupt { path: path.to_owned(), what: "the disk cannot read it".to_owned() })
        }
        read => {
            read.map_err(LogError::io("read", path))?;
            decode(path, magic, bytes.into()).map(Some)
        }
    }
}

/// The content of a pair, `None` if there is neither file.
///
/// # Errors
/// As [`read`]; `Corrupt` only if neither file has it.
pub(super) fn read_pair(
    storage: &dyn Storage,
    dir: &Path,
    name: &str,
    magic: [u8; 8],
) -> Result<Option<Bytes>, LogError> {
    let path = dir.join(name);
    let found = read(storage, &path, magic);
    if !matches!(found, Ok(None) | Err(LogError::Corrupt { .. })) {
        return found;
    }
    match (found, read(storage, &dir.join(copy_of(name)), magic)) {
        (_, Ok(Some(content))) => {
            tracing::error!(path = %path.display(), "a file is damaged or missing; its copy is used");
            Ok(Some(content))
        }
        (Ok(None), copy) => copy,
        (found, Ok(None) | Err(LogError::Corrupt { .. })) => found,
        (_, copy) => copy,
    }
}

fn encode(magic: [u8; 8], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(&magic);
    bytes.put_u16(FORMAT);
    bytes.put_u16(FORMAT);
    bytes.put_u32(u32::try_from(content.len()).unwrap_or(u32::MAX));
    let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes), content);
    bytes.put_u32(crc);
    bytes.extend_from_slice(content);
    bytes
}

fn decode(path: &Path, magic: [u8; 8], bytes: Bytes) -> Result<Bytes, LogError> {
    let corrupt = |what: &str| LogError::Corrupt { path: path.to_owned(), what: what.to_owned() };
    let head = bytes.slice(..bytes.len().min(16));
    let mut fields = Fields::new(bytes);
    let mut header = || Some((fields.array::<8>()?, fields.u16()?, fields.u16()?, fields.u32()?, fields.u32()?));
    let (found, _, oldest, length, crc) = header().ok_or_else(|| corrupt("it is shorter than its header"))?;
    if found != magic {
        return Err(corrupt("it does not begin as such a file does"));
    }
    let content = fields.take(usize::try_from(length).unwrap_or(usize::MAX));
    let intact = content.filter(|content| crc32c::crc32c_append(crc32c::crc32c(&head), content) == crc);
    // A newer format is believed only if its check holds: a flipped bit must not look like one.
    match intact {
        Some(_) if oldest > FORMAT => {
            Err(LogError::NewerFormat { path: path.to_owned(), needs: oldest, reads: FORMAT })
        }
        Some(content) => Ok(content),
        None => Err(corrupt("its check does not match its content")),
    }
}
