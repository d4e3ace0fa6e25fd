//! What the node shows: its certificate, and with an embedded authority one per namespace.
//!
//! Functions answer at `NAME.NS.DOMAIN`, and a wildcard covers one label only. A certificate with a name for each namespace
//! would grow with the mesh and change with every apply; so the certificate for a namespace (`*.NS.DOMAIN`) is made when
//! a handshake first asks for it. That costs one signature, as much as the handshake's own; the last 1,024 are kept. Below a
//! domain of one label (`localhost`) clients take no wildcard, so there it is one per name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::KeyPair;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use weft_functions::value::Name;

use super::authority::{Authority, AuthorityError};
use super::fault::Fault;
use super::svid::{self, Role};
use crate::path::spiffe::SpiffeId;

/// Certificates of namespaces that are kept.
const NAMESPACES_MAX: usize = 1024;

/// Why a certificate and a key cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// It breaks SPIFFE's rules, so every peer would refuse it.
    #[error("the certificate cannot be used: {0}")]
    Rules(#[from] Fault),
    /// The key is of a kind that is not taken, or not the certificate's.
    #[error("the key cannot be used: {0}")]
    Key(String),
    /// It is over already.
    #[error("the certificate is expired")]
    Expired,
    /// The authority could not make it.
    #[error(transparent)]
    Making(#[from] AuthorityError),
}

/// A certificate that the node shows, and its key.
pub struct Own {
    id: SpiffeId,
    certificate: Arc<CertifiedKey>,
    not_after: u64,
    namespaces: Option<Namespaces>,
}

/// Makes certificates for the names of namespaces, with one key.
struct Namespaces {
    authority: Arc<Authority>,
    domain: Box<str>,
    key: KeyPair,
    /// By the name that each has beside those of the node's own.
    made: Mutex<HashMap<String, Arc<CertifiedKey>>>,
}

impl Own {
    /// A certificate from elsewhere: a chain, leaf first, and its key.
    ///
    /// # Errors
    /// They break SPIFFE's rules, do not belong together, or are over.
    pub fn given(
        chain: Vec<CertificateDer<'static>>,
        key: &PrivateKeyDer<'static>,
        now: UnixTime,
    ) -> Result<Self, NotOurs> {
        let svid = svid::read(&chain, Role::Server)?;
        if now.as_secs() > svid.not_after {
            return Err(NotOurs::Expired);
        }
        Ok(Self { id: svid.id, certificate: certified(chain, key)?, not_after: svid.not_after, namespaces: None })
    }

    /// A certificate of an embedded authority, for a node and everything below its domain.
    ///
    /// # Errors
    /// The authority makes no ids of this trust domain.
    pub fn made(authority: &Arc<Authority>, id: &SpiffeId, domain: &str, now: UnixTime) -> Result<Self, NotOurs> {
        let key = KeyPair::generate().map_err(AuthorityError::from)?;
        let names = [domain.to_owned(), format!("*.{domain}")];
        let certificate = authority.certify(&key, id, &names, milliseconds(now))?;
        let chain = vec![certificate.der().clone()];
        let not_after = svid::read(&chain, Role::Server)?.not_after;
        let certificate = certified(chain, &PrivatePkcs8KeyDer::from(key.serialize_der()).into())?;
        let made = Mutex::default();
        let namespaces = Namespaces { authority: Arc::clone(authority), domain: domain.into(), key, made };
        Ok(Self { id: id.clone(), certificate, not_after, namespaces: Some(namespaces) })
    }

    /// Whose it is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// When it ends, in seconds since 1970.
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The certificate for everybody who names nothing.
    pub fn certificate(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certificate)
    }

    /// The certificate for a client that named `name`.
    pub(super) fn for_name(&self, name: Option<&str>, now: UnixTime) -> Arc<CertifiedKey> {
        let further = name.zip(self.namespaces.as_ref()).and_then(|(name, namespaces)| namespaces.further(name));
        match (further, &self.namespaces) {
            (Some(further), Some(namespaces)) => namespaces.certificate(&self.id, further, now).unwrap_or_else(|error| {
                tracing::error!(%error, "cannot make a certificate for a namespace; the node's own is shown instead");
                self.certificate()
            }),
            _ => self.certificate(),
        }
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").field("id", &self.id.as_str()).field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

impl Namespaces {
    /// The name that a certificate needs for `NAME.NS.DOMAIN` beside those of the node's own, if it needs one.
    fn further(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let labels = name.strip_suffix(&*self.domain)?.strip_suffix('.')?;
        match labels.split_once('.') {
            Some((_, namespace)) => {
                namespace.parse::<Name>().ok().map(|namespace| format!("*.{namespace}.{}", self.domain))
            }
            None if self.domain.contains('.') => None,
            None => labels.parse::<Name>().ok().map(|_| name),
        }
    }

    fn certificate(&self, id: &SpiffeId, further: String, now: UnixTime) -> Result<Arc<CertifiedKey>, NotOurs> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(certificate) = made.get(&further) {
            return Ok(Arc::clone(certificate));
        }
        let names = [further.clone(), self.domain.to_string(), format!("*.{}", self.domain)];
        let certificate = self.authority.certify(&self.key, id, &names, milliseconds(now))?;
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der()).into();
        let certificate = certified(vec![certificate.der().clone()], &key)?;
        if made.len() >= NAMESPACES_MAX {
            // Whoever asks for a thousand namespaces asks for most of them once.
            made.clear();
        }
        made.insert(further, Arc::clone(&certificate));
        Ok(certificate)
    }
}

/// A chain and its key, which must belong together (C-07).
pub(super) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, NotOurs> {
    let key = any_supported_type(key).map_err(|error| NotOurs::Key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(Arc::new(certified)),
        Err(error) => Err(NotOurs::Key(format!("it does not belong to the certificate ({error})"))),
    }
}

fn milliseconds(now: UnixTime) -> u64 {
    now.as_secs().saturating_mul(1000)
}

#[cfg(test)]
mod tests;
