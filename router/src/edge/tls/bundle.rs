//! Trust as it is written down: roots as PEM or as a SPIFFE bundle document, revocation lists as PEM or DER. Separate from
//! [`super::trust`] because every source brings them in these forms and a mistake in one must be said in words.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use serde::Deserialize;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// Bytes of a bundle or a revocation list that are read.
pub const FILE_BYTES_MAX: usize = 8 << 20;

/// Roots of one trust domain; SPIRE keeps two or three while it rotates.
const ROOTS_MAX: usize = 64;

/// Revocation lists at a time.
const LISTS_MAX: usize = 64;

/// Why a bundle or a list of revoked certificates cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBundle {
    /// Neither PEM nor a SPIFFE bundle document, or one without a root.
    #[error("has no certificate in PEM, and is no SPIFFE bundle with an x509-svid key")]
    Empty,
    /// More than is read.
    #[error("has more than {0} entries")]
    TooMany(usize),
    /// A block of PEM that is none, or holds something else.
    #[error("has a block that is not what it says")]
    Pem,
    /// A SPIFFE bundle document that breaks its standard.
    #[error("is not a SPIFFE bundle: {0}")]
    Document(String),
    /// A root that no chain can end in.
    #[error("certificate {0} is not one that may sign others (CA, keyCertSign)")]
    NotARoot(usize),
    /// A list that rustls-webpki does not read: delta lists, indirect lists, broken ones.
    #[error("revocation list {0} cannot be used: {1:?}")]
    List(usize, webpki::Error),
    /// A list whose signature does not hold under the root it names.
    #[error("revocation list {0} is not signed by the authority it names")]
    ListSignature(usize),
    /// A list that a root of the bundle has published, but may not.
    #[error("the authority of revocation list {0} may not sign lists (cRLSign)")]
    ListSigner(usize),
}

/// Reads roots: PEM, or a SPIFFE bundle document (SPIFFE Trust Domain and Bundle, section 4).
///
/// # Errors
/// There are none, or one of them is no root.
pub fn roots(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadBundle> {
    let document = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let roots = if document { from_document(bytes)? } else { certificates(bytes)? };
    checked_roots(roots)
}

/// Checks roots that came in DER.
///
/// # Errors
/// There are none, too many, or one of them is no root.
pub fn checked_roots(roots: Vec<CertificateDer<'static>>) -> Result<Vec<CertificateDer<'static>>, BadBundle> {
    if roots.is_empty() {
        return Err(BadBundle::Empty);
    }
    if roots.len() > ROOTS_MAX {
        return Err(BadBundle::TooMany(ROOTS_MAX));
    }
    match roots.iter().position(|root| !may_sign(root)) {
        Some(bad) => Err(BadBundle::NotARoot(bad + 1)),
        None => Ok(roots),
    }
}

/// Reads the certificates of a PEM file; other blocks are passed over.
///
/// # Errors
/// A block is broken.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadBundle> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| BadBundle::Pem)
}

/// Reads revocation lists: PEM, or one in DER. An empty file has none.
///
/// # Errors
/// One of them is not readable, or is said to be by one of `roots` and is not.
pub fn lists(
    bytes: &[u8],
    roots: &[CertificateDer<'_>],
) -> Result<Vec<CertificateRevocationListDer<'static>>, BadBundle> {
    let lists = if bytes.first() == Some(&0x30) {
        vec![CertificateRevocationListDer::from(bytes.to_vec())]
    } else {
        let blocks = CertificateRevocationListDer::pem_slice_iter(bytes);
        blocks.collect::<Result<Vec<_>, _>>().map_err(|_| BadBundle::Pem)?
    };
    let blank = bytes.iter().all(u8::is_ascii_whitespace);
    match (lists.len(), blank) {
        (0, false) => Err(BadBundle::Pem),
        (LISTS_MAX.., _) => Err(BadBundle::TooMany(LISTS_MAX)),
        _ => {
            check_lists(&lists, roots)?;
            Ok(lists)
        }
    }
}

/// Lists that rustls-webpki reads and whose signature holds, as far as their authority is one of `roots`. A list of an
/// intermediate authority is judged when a chain shows that authority: a bad one refuses that authority's leaves.
///
/// # Errors
/// The first list that is not so.
pub fn check_lists(lists: &[CertificateRevocationListDer<'_>], roots: &[CertificateDer<'_>]) -> Result<(), BadBundle> {
    for (index, list) in lists.iter().enumerate() {
        let number = index + 1;
        usable(list).map_err(|error| BadBundle::List(number, error))?;
        let (_, parsed) =
            CertificateRevocationList::from_der(list).map_err(|_| BadBundle::List(number, webpki::Error::BadDer))?;
        let signers: Vec<_> = roots
            .iter()
            .filter_map(|root| X509Certificate::from_der(root).ok())
            .map(|(_, root)| root)
            .filter(|root| root.subject().as_raw() == parsed.issuer().as_raw())
            .collect();
        if signers.is_empty() {
            continue;
        }
        let signer = signers.iter().find(|signer| parsed.verify_signature(signer.public_key()).is_ok());
        let signer = signer.ok_or(BadBundle::ListSignature(number))?;
        if !matches!(signer.key_usage(), Ok(Some(usage)) if usage.value.crl_sign()) {
            return Err(BadBundle::ListSigner(number));
        }
    }
    Ok(())
}

/// A list in the form in which it is asked.
pub(super) fn usable(list: &CertificateRevocationListDer<'_>) -> Result<CertRevocationList<'static>, webpki::Error> {
    BorrowedCertRevocationList::from_der(list)?.to_owned().map(CertRevocationList::from)
}

/// When a list says that there will be a newer one, in seconds since 1970.
pub(super) fn next_update(list: &CertificateRevocationListDer<'_>) -> Option<u64> {
    let (_, list) = CertificateRevocationList::from_der(list).ok()?;
    list.next_update().map(|next| u64::try_from(next.timestamp()).unwrap_or(0))
}

/// DER as PEM (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for (index, letter) in text.chars().enumerate() {
        pem.push(letter);
        if index % 64 == 63 {
            pem.push('\n');
        }
    }
    if !pem.ends_with('\n') {
        pem.push('\n');
    }
    pem + &format!("-----END {label}-----\n")
}

fn may_sign(root: &CertificateDer<'_>) -> bool {
    let Ok(([], root)) = X509Certificate::from_der(root) else { return false };
    let signs = matches!(root.key_usage(), Ok(Some(usage)) if usage.value.key_cert_sign());
    root.is_ca() && signs
}

/// A JWK Set whose keys say what they are for; only `x509-svid` is of interest here.
#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "use")]
    purpose: Option<String>,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

fn from_document(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadBundle> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| BadBundle::Document(error.to_string()))?;
    let mut roots = Vec::new();
    for key in document.keys {
        match key.purpose.as_deref() {
            Some("x509-svid") => roots.push(root_of(&key)?),
            Some("jwt-svid") if key.kid.as_deref().is_none_or(str::is_empty) => {
                return Err(BadBundle::Document("a jwt-svid key has no kid".to_owned()));
            }
            // Section 4.2.2: keys of another use, or of none, are ignored.
            _ => {}
        }
    }
    Ok(roots)
}

/// Section 4.2.3: `x5c` holds exactly one certificate.
fn root_of(key: &Key) -> Result<CertificateDer<'static>, BadBundle> {
    let wrong = || BadBundle::Document("an x509-svid key needs exactly one certificate in x5c".to_owned());
    let [text] = key.x5c.as_deref().unwrap_or_default() else { return Err(wrong()) };
    STANDARD.decode(text).map(CertificateDer::from).map_err(|_| wrong())
}

#[cfg(test)]
mod tests;
