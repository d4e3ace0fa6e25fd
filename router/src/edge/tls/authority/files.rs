//! Where an embedded authority keeps what it is: a folder with its certificate and key, the bundle that peers trust, and the
//! list of what it revoked. Separate because these files are read by people and by other programs.
//!
//! `ca.key` and every key that is written here are for their owner alone (0600).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Authority, AuthorityError, Issued};
use crate::edge::tls::bundle::{self, pem};
use crate::path::spiffe::TrustDomain;

/// The root's certificate.
pub const ROOT: &str = "ca.crt";
/// The root's key.
pub const KEY: &str = "ca.key";
/// What whoever trusts this authority needs: its root, and others while one follows another.
pub const BUNDLE: &str = "bundle.pem";
/// What it revoked; there only once it has revoked something.
pub const LIST: &str = "crl.pem";

/// Bytes of a certificate or key that are read.
const BYTES_MAX: u64 = 1 << 20;

/// Makes an authority in a folder, which is made if it is not there.
///
/// # Errors
/// There is one already, or the folder cannot be written.
pub fn init(folder: &Path, trust_domain: &TrustDomain, now: u64) -> Result<Authority, AuthorityError> {
    let authority = Authority::make(trust_domain, now)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| failed("make", folder, &error))?;
    let key = folder.join(KEY);
    // Made anew or not at all: overwriting a root's key would orphan all that it signed.
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
    opened.and_then(|mut file| file.write_all(authority.key_pem().as_bytes()).and_then(|()| file.sync_all())).map_err(
        |error| match error.kind() {
            io::ErrorKind::AlreadyExists => AuthorityError::Unusable(format!(
                "there is an authority in {} already; name another folder",
                folder.display()
            )),
            _ => failed("write", &key, &error),
        },
    )?;
    let root = pem("CERTIFICATE", authority.root());
    write(&folder.join(ROOT), root.as_bytes(), 0o644)?;
    write(&folder.join(BUNDLE), root.as_bytes(), 0o644)?;
    Ok(authority)
}

/// Reads an authority from its folder.
///
/// # Errors
/// Its files are not there, not readable or do not belong together.
pub fn open(folder: &Path) -> Result<Authority, AuthorityError> {
    let root = read(&folder.join(ROOT))?;
    let key = read(&folder.join(KEY))?;
    Authority::from_pem(&root, &key)
}

/// Writes a certificate and its key as `OUT.crt` and `OUT.key`; returns both paths.
///
/// # Errors
/// They cannot be written.
pub fn write_issued(out: &Path, issued: &Issued) -> Result<(PathBuf, PathBuf), AuthorityError> {
    let (certificate, key) = (beside(out, ".crt"), beside(out, ".key"));
    let chain: String = issued.chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    let label = if matches!(issued.key, PrivateKeyDer::Pkcs8(_)) { "PRIVATE KEY" } else { "EC PRIVATE KEY" };
    write(&key, pem(label, issued.key.secret_der()).as_bytes(), 0o600)?;
    write(&certificate, chain.as_bytes(), 0o644)?;
    Ok((certificate, key))
}

/// Adds certificates, in PEM, to the folder's list of what is revoked; returns the serial numbers of those that are new.
///
/// # Errors
/// A certificate is not this authority's, or a file cannot be read or written.
pub fn revoke(folder: &Path, certificates: &[u8], now: u64) -> Result<Vec<String>, AuthorityError> {
    let unusable = |what: &str| AuthorityError::Unusable(what.to_owned());
    let authority = open(folder)?;
    let (_, root) = X509Certificate::from_der(authority.root()).map_err(|_| unusable("not a certificate"))?;
    let mut revoked = listed(&folder.join(LIST))?;
    let mut added = Vec::new();
    let chain = bundle::certificates(certificates).map_err(|error| unusable(&format!("the file {error}")))?;
    for certificate in &chain {
        let parsed = X509Certificate::from_der(certificate);
        let (_, parsed) = parsed.map_err(|_| unusable("the file holds something that is no certificate"))?;
        if parsed.verify_signature(Some(root.public_key())).is_err() {
            return Err(unusable("the file holds a certificate that this authority did not make"));
        }
        let serial = parsed.raw_serial().to_vec();
        if !revoked.iter().any(|(known, _)| *known == serial) {
            added.push(crate::edge::tls::svid::hex(&serial));
            revoked.push((serial, now));
        }
    }
    if chain.is_empty() {
        return Err(unusable("the file holds no certificate in PEM"));
    }
    let list = authority.list(&revoked, now)?;
    write(&folder.join(LIST), pem("X509 CRL", &list).as_bytes(), 0o644)?;
    Ok(added)
}

/// What a list has: serial numbers and times in milliseconds.
fn listed(path: &Path) -> Result<Vec<(Vec<u8>, u64)>, AuthorityError> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let broken = || AuthorityError::Unusable(format!("{} is no list of revoked certificates", path.display()));
    let list = CertificateRevocationListDer::from_pem_slice(&read(path)?).map_err(|_| broken())?;
    let (_, list) = CertificateRevocationList::from_der(&list).map_err(|_| broken())?;
    let entries = list.iter_revoked_certificates().map(|entry| {
        let at = u64::try_from(entry.revocation_date.timestamp()).unwrap_or(0);
        (entry.raw_serial().to_vec(), at * 1000)
    });
    Ok(entries.collect())
}

fn read(path: &Path) -> Result<Vec<u8>, AuthorityError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut bytes));
    read.map_err(|error| failed("read", path, &error))?;
    Ok(bytes)
}

/// Written beside and renamed, so that nobody ever reads half of it.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), AuthorityError> {
    let unfinished = beside(path, ".new");
    // What a killed predecessor left may have another mode.
    let _gone = fs::remove_file(&unfinished);
    let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&unfinished);
    opened
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(|error| failed("write", path, &error))
}

/// The path with something behind its last character, whatever dots it has.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(what: &str, path: &Path, error: &io::Error) -> AuthorityError {
    AuthorityError::Unusable(format!("cannot {what} {}: {error}", path.display()))
}
