//! Why a chain of certificates is refused. Separate because each reason is said twice: as a line for our log, which never
//! holds the certificate itself, and as a TLS alert for the peer, which tells it no more than TLS's own words do.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::path::spiffe::NotAnId;

/// Why a chain is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More certificates than [`super::svid::CHAIN_MAX`].
    #[error("its chain has {0} certificates, at most {max} are read", max = super::svid::CHAIN_MAX)]
    ChainTooLong(usize),
    /// More bytes than [`super::svid::CHAIN_BYTES_MAX`].
    #[error("its chain has {0} bytes, at most {max} are read", max = super::svid::CHAIN_BYTES_MAX)]
    ChainTooLarge(usize),
    /// Not an X.509 certificate in DER, or with bytes behind it.
    #[error("{0} cannot be read as a certificate")]
    Unreadable(Part),
    /// An extension that is malformed or given twice.
    #[error("{0} has a malformed or repeated extension: {1}")]
    Extension(Part, &'static str),
    /// X509-SVID, section 2: the id is the one URI in the subject's alternative names.
    #[error("the leaf has no URI as alternative name, so no SPIFFE id")]
    NoId,
    /// X509-SVID, section 5.2: more than one URI must be refused.
    #[error("{0} has {1} URIs as alternative names, at most one is allowed")]
    ManyIds(Part, usize),
    /// The URI is no id of a workload.
    #[error("the leaf's URI is {0}")]
    BadId(#[from] NotAnId),
    /// X509-SVID, section 2: only a leaf's id may have a path.
    #[error("a signing certificate has a URI that is no SPIFFE id of a trust domain")]
    SignerId,
    /// A signing certificate that says it speaks for another trust domain than the leaf's.
    #[error("a signing certificate is of another trust domain than the leaf")]
    SignerOfOtherDomain,
    /// No bundle of this trust domain is here.
    #[error("the leaf's trust domain is not trusted here")]
    UnknownTrustDomain,
    /// X509-SVID, section 4.1: a leaf is no authority.
    #[error("the leaf is an authority (basic constraints: CA)")]
    LeafIsAuthority,
    /// X509-SVID, section 4.3: key usage must be set.
    #[error("{0} has no key usage")]
    NoKeyUsage(Part),
    /// X509-SVID, section 4.3.
    #[error("the leaf's key usage lacks digitalSignature")]
    NoDigitalSignature,
    /// X509-SVID, section 5.2.
    #[error("the leaf's key usage has keyCertSign or cRLSign")]
    LeafSigns,
    /// The extended key usage is there and does not name this side of TLS.
    #[error("its extended key usage does not allow {0}")]
    Purpose(&'static str),
    /// X509-SVID, section 4.1: what signs is an authority.
    #[error("a signing certificate is no authority (basic constraints: CA)")]
    SignerIsNoAuthority,
    /// X509-SVID, section 4.3.
    #[error("a signing certificate's key usage lacks keyCertSign")]
    SignerMayNotSign,
    /// RSA below 2,048 bits, or a kind of key that is not taken.
    #[error("{0} has a key that is too weak or of a kind that is not taken")]
    WeakKey(Part),
    /// No path to a root of the trust domain's bundle.
    #[error("no root of its trust domain's bundle has signed it")]
    UnknownIssuer,
    /// A signature does not hold.
    #[error("a signature in its chain does not hold")]
    BadSignature,
    /// A certificate of the path is expired.
    #[error("a certificate of its chain is expired")]
    Expired,
    /// A certificate of the path is not valid yet.
    #[error("a certificate of its chain is not valid yet")]
    NotValidYet,
    /// A revocation list names it.
    #[error("a certificate of its chain is revoked")]
    Revoked,
    /// We called somebody, and somebody else answered.
    #[error("its id is not the one that was called")]
    OtherId,
    /// We called a name that the certificate has not.
    #[error("it is not valid for the name that was called")]
    OtherName,
    /// Anything else that rustls-webpki refuses: path length, name constraints, unknown critical extensions, …
    #[error("no valid path to a root: {0:?}")]
    Path(webpki::Error),
}

/// Which certificate of a chain is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The peer's own.
    Leaf,
    /// One that signed another.
    Signer,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Leaf => "the leaf",
            Self::Signer => "a signing certificate",
        })
    }
}

impl From<webpki::Error> for Fault {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::UnknownIssuer => Self::UnknownIssuer,
            E::InvalidSignatureForPublicKey => Self::BadSignature,
            E::CertExpired { .. } => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotValidYet,
            E::CertRevoked => Self::Revoked,
            E::CertNotValidForName(_) => Self::OtherName,
            E::CaUsedAsEndEntity => Self::LeafIsAuthority,
            E::EndEntityUsedAsCa => Self::SignerIsNoAuthority,
            other => Self::Path(other),
        }
    }
}

impl From<Fault> for rustls::Error {
    /// rustls makes the alert from it: `certificate_expired`, `certificate_revoked`, `unknown_ca`, `bad_certificate`, …;
    /// what TLS has no word for is `certificate_unknown`.
    fn from(fault: Fault) -> Self {
        Self::InvalidCertificate(match fault {
            Fault::UnknownIssuer | Fault::UnknownTrustDomain => CertificateError::UnknownIssuer,
            Fault::BadSignature => CertificateError::BadSignature,
            Fault::Expired => CertificateError::Expired,
            Fault::NotValidYet => CertificateError::NotValidYet,
            Fault::Revoked => CertificateError::Revoked,
            Fault::Unreadable(_) | Fault::Extension(..) => CertificateError::BadEncoding,
            other => CertificateError::Other(OtherError(Arc::new(other))),
        })
    }
}

/// What to write into the log about a handshake that failed: the fault in our words where it is one of ours.
pub fn log_text(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => other.to_string(),
        other => other.to_string(),
    }
}
