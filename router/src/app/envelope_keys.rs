//! The file of the keys that prove envelopes: read or made when the node starts, and written again with another key when
//! the newest has served its time. What stands in it is for `path::envelope::keys` to say.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::task::AbortOnDropHandle;
use weft_eventlog::Clock;

use super::key;
use crate::path::envelope::Envelopes;
use crate::path::envelope::keys::{FILE_BYTES_MAX, KeyRing, Seed};
use crate::path::spiffe::TrustDomain;

/// The file, in the data directory.
const FILE: &str = "envelope.keys";

/// How often the node looks whether it is time for another key.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Opens and seals envelopes by the keys in the data directory, which are rotated for as long as the handle lives.
///
/// # Errors
/// As [`read_or_make`].
pub(super) fn begin(
    data: &Path,
    trust_domain: &TrustDomain,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Arc<Envelopes>, AbortOnDropHandle<()>)> {
    let path = data.join(FILE);
    let ring = read_or_make(&path, clock.now_ms())?;
    let envelopes = Arc::new(Envelopes::new(ring, trust_domain.clone(), clock.clone()));
    let tended = tokio::spawn(tend(path, envelopes.clone(), clock.clone()));
    Ok((envelopes, AbortOnDropHandle::new(tended)))
}

/// Reads the ring, or makes one; rotates it if it is time.
///
/// # Errors
/// The file cannot be read or written, others may read it, or it is not a key ring of this version. A ring is never made
/// in place of one that cannot be read: every event in the log would be unproven.
fn read_or_make(path: &Path, now_ms: u64) -> anyhow::Result<KeyRing> {
    let ring = match File::open(path) {
        Ok(file) => read(file).with_context(|| format!("cannot use the keys in {}", path.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => return write(path, KeyRing::new(now_ms, &seed()?)),
        Err(error) => return Err(error).with_context(|| format!("cannot open {}", path.display())),
    };
    if ring.is_due(now_ms) { write(path, ring.rotated(now_ms, &seed()?)) } else { Ok(ring) }
}

/// Rotates the ring while the node runs.
async fn tend(path: PathBuf, envelopes: Arc<Envelopes>, clock: Arc<dyn Clock>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (path, now_ms) = (path.clone(), clock.now_ms());
        match tokio::task::spawn_blocking(move || read_or_make(&path, now_ms)).await {
            Ok(Ok(ring)) => envelopes.rotate(ring),
            // The present keys go on proving.
            Ok(Err(error)) => tracing::error!(error = format!("{error:#}"), "cannot rotate the keys of envelopes"),
            Err(error) => tracing::error!(%error, "rotating the keys of envelopes ended in a defect of weft"),
        }
    }
}

fn read(file: File) -> anyhow::Result<KeyRing> {
    let mode = file.metadata().context("cannot look at it")?.permissions().mode();
    anyhow::ensure!(mode & 0o077 == 0, "others may read it (mode {:o}): chmod 600 it", mode & 0o777);
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).context("cannot read it")?;
    anyhow::ensure!(bytes.len() <= FILE_BYTES_MAX, "it is larger than {FILE_BYTES_MAX} bytes");
    Ok(KeyRing::decode(&bytes)?)
}

/// Written before it is used: an event that is sealed with a key must not outlive it.
fn write(path: &Path, ring: KeyRing) -> anyhow::Result<KeyRing> {
    key::replace(path, &ring.encode())?;
    Ok(ring)
}

fn seed() -> anyhow::Result<Seed> {
    let mut seed = [0; size_of::<Seed>()];
    key::fill(&mut seed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;
    use crate::path::envelope::keys::ROTATE_AFTER;

    #[test]
    fn a_ring_is_made_once_kept_secret_and_rotated() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("envelope.keys");
        let made = read_or_make(&path, 1_000).expect("made");
        let bytes = fs::read(&path).expect("the file");
        assert_eq!(fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&path, 2_000).expect("read").encode(), made.encode());
        assert_eq!(fs::read(&path).expect("the file"), bytes, "nothing to rotate yet");

        let due = 1_000 + ROTATE_AFTER.as_millis() as u64;
        let rotated = read_or_make(&path, due).expect("rotated");
        assert_ne!(rotated.encode(), made.encode());
        assert_eq!(read_or_make(&path, due).expect("read").encode(), rotated.encode());
        assert!(!format!("{rotated:?}").contains("secret"), "{rotated:?}");
    }

    #[test]
    fn a_ring_that_cannot_be_used_stops_the_start() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("envelope.keys");
        let check = |bytes: &[u8], mode: u32, expect: &str| {
            fs::write(&path, bytes).expect("written");
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("set");
            let error = read_or_make(&path, 1).expect_err("not a ring");
            assert!(format!("{error:#}").contains(expect), "{error:#}");
            assert_eq!(fs::read(&path).expect("the file"), bytes, "it is left as it is");
        };
        let whole = KeyRing::new(1, &[7; 40]).encode();
        check(b"", 0o600, "not a key ring");
        check(&whole[..whole.len() / 2], 0o600, "not a key ring");
        check(&whole, 0o644, "chmod 600");
        check(br#"{"format":9,"oldestReader":9}"#, 0o600, "newer version");
        check(&vec![b' '; FILE_BYTES_MAX + 1], 0o600, "larger than");
    }
}
