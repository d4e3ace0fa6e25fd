//! Files that somebody else changes, looked at again and again, and the trust that two of them make: a bundle and a list of
//! what is revoked. Contents are compared, not times: a rename, a swapped symbolic link and a rewrite are all seen.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::alarm;
use crate::edge::tls::Trust;
use crate::edge::tls::bundle::{self, BadBundle, FILE_BYTES_MAX};
use crate::path::spiffe::TrustDomain;

/// A file and what it held when it was last looked at.
#[derive(Debug)]
pub(super) struct Watched {
    path: PathBuf,
    seen: Option<Result<Vec<u8>, io::ErrorKind>>,
}

impl Watched {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is another than when it was last looked at; the first look is a change.
    pub(super) async fn changed(&mut self) -> bool {
        let now = read(&self.path).await.map_err(|error| error.kind());
        let changed = self.seen.as_ref() != Some(&now);
        if changed {
            self.seen = Some(now);
        }
        changed
    }

    /// What it held when it was last looked at.
    pub(super) fn bytes(&self) -> Result<&[u8], String> {
        match &self.seen {
            Some(Ok(bytes)) => Ok(bytes),
            Some(Err(kind)) => Err(format!("cannot read {}: {kind}", self.path.display())),
            None => Err(format!("{} was not read", self.path.display())),
        }
    }

    fn is_absent(&self) -> bool {
        matches!(self.seen, Some(Err(io::ErrorKind::NotFound)))
    }
}

/// Reads a file of limited size. Key material stays in memory no longer than what was read last.
async fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX).unwrap_or(u64::MAX);
    File::open(path).await?.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// A bundle, and a list beside it.
pub(super) struct TrustFiles {
    trust_domain: TrustDomain,
    bundle: Watched,
    list: Option<Watched>,
    /// Whether there must be a list, or may be one some day.
    list_may_lack: bool,
    roots: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
}

impl TrustFiles {
    pub(super) fn new(trust_domain: &TrustDomain, bundle: &Path, list: Option<&Path>, list_may_lack: bool) -> Self {
        Self {
            trust_domain: trust_domain.clone(),
            bundle: Watched::new(bundle),
            list: list.map(Watched::new),
            list_may_lack,
            roots: Vec::new(),
            lists: Vec::new(),
        }
    }

    /// The first trust.
    ///
    /// # Errors
    /// One of the files cannot be used.
    pub(super) async fn open(&mut self) -> Result<Trust, String> {
        self.bundle.changed().await;
        if let Some(list) = &mut self.list {
            list.changed().await;
        }
        self.roots = self.read_roots()?;
        self.lists = self.read_lists(&self.roots)?;
        self.trust()
    }

    /// The new trust, if one of the files changed into something good. What is bad is said, and the last good stays.
    pub(super) async fn look(&mut self) -> Option<Trust> {
        let bundle = self.bundle.changed().await;
        let list = match &mut self.list {
            Some(list) => list.changed().await,
            None => false,
        };
        if !bundle && !list {
            return None;
        }
        let roots = self.read_roots();
        let roots = roots.unwrap_or_else(|why| kept(&why, self.roots.clone()));
        let lists = self.read_lists(&roots);
        let lists = lists.unwrap_or_else(|why| kept(&why, self.lists.clone()));
        if let Err(error) = bundle::check_lists(&lists, &roots) {
            alarm(&format!(
                "the list of revoked certificates does not go with the bundle ({error}); both stay as they were"
            ));
            return None;
        }
        if roots == self.roots && lists == self.lists {
            return None;
        }
        (self.roots, self.lists) = (roots, lists);
        self.trust().map_err(|why| alarm(&why)).ok()
    }

    fn read_roots(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        bundle::roots(self.bundle.bytes()?).map_err(|error| bad(&self.bundle, &error))
    }

    fn read_lists(&self, roots: &[CertificateDer<'_>]) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
        match &self.list {
            Some(list) if list.is_absent() && self.list_may_lack && self.lists.is_empty() => Ok(Vec::new()),
            Some(list) => bundle::lists(list.bytes()?, roots).map_err(|error| bad(list, &error)),
            None => Ok(Vec::new()),
        }
    }

    fn trust(&self) -> Result<Trust, String> {
        let domains = [(self.trust_domain.clone(), self.roots.clone())];
        Trust::new(domains, &self.lists).map_err(|error| bad(&self.bundle, &error))
    }
}

fn kept<T>(why: &str, last: T) -> T {
    alarm(&format!("{why}; what was there before stays in force"));
    last
}

fn bad(file: &Watched, error: &BadBundle) -> String {
    format!("{} {error}", file.path().display())
}
