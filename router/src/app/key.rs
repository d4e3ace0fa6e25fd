//! The node's secret for decision ids: made once, kept for its owner alone, so that ids stay readable over restarts.

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

/// Written beside and renamed, so that a node that is killed meanwhile leaves no half a key.
fn make(path: &Path) -> anyhow::Result<[u8; 16]> {
    let mut key = [0; 16];
    fill(&mut key)?;
    let beside = path.with_extension("new");
    let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
    opened
        .and_then(|mut file| file.write_all(&key).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot make {}", path.display()))?;
    Ok(key)
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

fn fill(bytes: &mut [u8]) -> anyhow::Result<()> {
    getrandom::fill(bytes).map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))
}
