//! Certificates for calls that leave a node for a name of the mesh. Who makes one, a function or a trigger, is asserted by
//! its node; it gets a certificate of its own only for such a call, and only from an embedded authority: with files or a
//! Workload API there is the node's own certificate and no other, so such calls are made as the node.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use super::authority::Authority;
use super::keyring::{AsNode, Keyring};
use super::own::{NotOurs, certified};
use super::source::half_life;
use super::trust::Trust;
use crate::path::spiffe::SpiffeId;
use crate::targets::mesh_tls::{MeshTls, NoClientIdentity};

/// Workloads whose settings are kept; a node runs fewer functions.
const WORKLOADS_MAX: usize = 4096;

/// Makes the settings for outbound calls, and keeps them.
pub struct Outbound {
    keyring: Arc<Keyring>,
    authority: Option<Arc<ArcSwap<Authority>>>,
    workloads: Mutex<HashMap<SpiffeId, Kept>>,
}

/// What is kept of a workload.
struct Kept {
    identity: Arc<dyn ResolvesClientCert>,
    /// The trust by which connections made with the settings were judged.
    trust: Arc<Trust>,
    settings: Arc<ClientConfig>,
}

impl Outbound {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        Self { keyring, authority: None, workloads: Mutex::default() }
    }

    pub(super) fn with_authority(self, authority: Arc<ArcSwap<Authority>>) -> Self {
        Self { authority: Some(authority), ..self }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SpiffeId, Kept>> {
        self.workloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identity(&self, id: &SpiffeId) -> Arc<dyn ResolvesClientCert> {
        match &self.authority {
            Some(authority) => Arc::new(AsWorkload {
                id: id.clone(),
                authority: Arc::clone(authority),
                keyring: Arc::clone(&self.keyring),
                made: ArcSwapOption::empty(),
            }),
            None => Arc::new(AsNode(Arc::clone(&self.keyring))),
        }
    }
}

impl MeshTls for Outbound {
    fn client_config(&self, id: &SpiffeId) -> Result<Arc<ClientConfig>, NoClientIdentity> {
        let trust = self.keyring.trust();
        let mut workloads = self.lock();
        let identity = match workloads.get(id) {
            Some(kept) if Arc::ptr_eq(&kept.trust, &trust) => return Ok(Arc::clone(&kept.settings)),
            Some(kept) => Arc::clone(&kept.identity),
            None => self.identity(id),
        };
        let settings = self.keyring.client(Arc::clone(&identity)).map(Arc::new);
        let settings = settings.map_err(|error| NoClientIdentity(error.to_string()))?;
        if workloads.len() >= WORKLOADS_MAX {
            workloads.clear();
        }
        workloads.insert(id.clone(), Kept { identity, trust, settings: Arc::clone(&settings) });
        Ok(settings)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("makes_certificates", &self.authority.is_some()).finish_non_exhaustive()
    }
}

/// A workload's certificate, made when a handshake first asks for it and again at half of its life.
struct AsWorkload {
    id: SpiffeId,
    authority: Arc<ArcSwap<Authority>>,
    keyring: Arc<Keyring>,
    made: ArcSwapOption<Made>,
}

struct Made {
    certificate: Arc<CertifiedKey>,
    authority: Arc<Authority>,
    /// When the next one is due, in seconds since 1970.
    due: u64,
}

impl AsWorkload {
    fn make(&self, authority: Arc<Authority>, now: u64) -> Result<Made, NotOurs> {
        let issued = authority.issue(&self.id, &[], now * 1000)?;
        Ok(Made { certificate: certified(issued.chain, &issued.key)?, authority, due: half_life(now) })
    }
}

impl ResolvesClientCert for AsWorkload {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let (authority, now) = (self.authority.load_full(), self.keyring.now().as_secs());
        let fresh = |made: &Arc<Made>| now < made.due && Arc::ptr_eq(&made.authority, &authority);
        if let Some(made) = self.made.load_full().filter(fresh) {
            return Some(Arc::clone(&made.certificate));
        }
        match self.make(authority, now) {
            Ok(made) => {
                let certificate = Arc::clone(&made.certificate);
                self.made.store(Some(Arc::new(made)));
                Some(certificate)
            }
            Err(error) => {
                tracing::error!(id = %self.id, %error, "cannot make a workload's certificate");
                None
            }
        }
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for AsWorkload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsWorkload").field("id", &self.id.as_str()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
