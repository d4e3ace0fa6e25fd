//! How a workload proves itself to another node of the mesh. A trait, because certificates are the edge's matter and the
//! targets know no edge.

use std::sync::Arc;

use rustls::ClientConfig;

use crate::path::spiffe::SpiffeId;

/// Gives the TLS settings for calls to names of the mesh on other nodes: TLS 1.3, the caller's certificate, and a node at
/// the other end whose certificate has the name that is called.
pub trait MeshTls: Send + Sync {
    /// The settings with which `id` calls. They renew their certificate by themselves; asking again is cheap, and gives
    /// the same settings until trust changes: then whoever keeps connections drops those that were made with others, since
    /// somebody may answer on them who is trusted no more.
    ///
    /// # Errors
    /// There are none to be had.
    fn client_config(&self, id: &SpiffeId) -> Result<Arc<ClientConfig>, NoClientIdentity>;
}

/// Why there are no settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no TLS settings for a call within the mesh: {0}")]
pub struct NoClientIdentity(pub String);
