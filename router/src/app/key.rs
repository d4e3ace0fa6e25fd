//! Secrets of the node: the key of decision ids, made once so that ids stay readable over restarts, and how files with
//! secrets are written.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Reads the key, or makes one.
///
/// # Errors
/// The file cannot be read or made, or is not a key.
pub(super) fn read_or_make(path: &Path) -> anyhow::Result<[u8; 16]> {
    match File::open(path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(error).with_context(|| format!("cannot open {}", path.display())),
    }
}

fn make(path: &Path) -> anyhow::Result<[u8; 16]> {
    let mut key = [0; 16];
    fill(&mut key)?;
    replace(path, &key)?;
    Ok(key)
}

/// Puts a secret into a file that its owner alone may read, durably. Written beside and renamed, so that a node that is
/// killed meanwhile leaves no half a secret.
///
/// # Errors
/// It cannot be written.
pub(super) fn replace(path: &Path, secret: &[u8]) -> anyhow::Result<()> {
    let beside = path.with_added_extension("new");
    // One that was left behind may have another mode.
    let _ = std::fs::remove_file(&beside);
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside);
    opened
        .and_then(|mut file| file.write_all(secret).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path))
        .and_then(|()| path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all()))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn read(file: File, path: &Path) -> anyhow::Result<[u8; 16]> {
    let mut bytes = Vec::new();
    file.take(17).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    let key = <[u8; 16]>::try_from(bytes.as_slice()).ok();
    key.with_context(|| format!("{} is not a key of 16 bytes; remove it, and a new one is made", path.display()))
}

/// A random number from the system.
///
/// # Errors
/// The system gives none.
pub(super) fn random() -> anyhow::Result<u64> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Fills `bytes` with what nobody can guess.
///
/// # Errors
/// The system gives no random numbers.
pub(super) fn fill(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))
}
