//! Calls to names below the mesh's own domain: another node answers them, or this one as if from outside. Both ends prove
//! themselves by TLS, the caller with the certificate of the function or trigger that reaches out; each has connections of
//! its own, since a connection is as good as the certificate it was opened with. Where such a name lies is the operator's
//! matter, so its address may be any: who answers there without the mesh's certificate is told nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use http::Uri;
use http::uri::Scheme;
use hyper_rustls::HttpsConnectorBuilder;
use rustls::ClientConfig;
use weft_functions::manifest::Kind;

use super::lookup::Lookup;
use super::reach::{Allowed, CheckedResolver};
use super::{HttpClient, connector, pooled};
use crate::path::call::Outside;
use crate::path::outcome::{Failure, Reason};
use crate::path::spiffe::{SpiffeId, TrustDomain};
use crate::targets::mesh_tls::MeshTls;

/// Workloads whose connections are kept; a node runs fewer.
const WORKLOADS_MAX: usize = 4096;

/// The mesh's own names as they are called from inside.
pub(super) struct MeshNodes {
    /// `.mesh.example`.
    below: Box<str>,
    trust_domain: TrustDomain,
    tls: Arc<dyn MeshTls>,
    lookup: Arc<dyn Lookup>,
    /// With the settings that each was made with.
    clients: Mutex<HashMap<SpiffeId, (Arc<ClientConfig>, HttpClient)>>,
}

impl MeshNodes {
    pub(super) fn new(domain: &str, trust_domain: TrustDomain, tls: Arc<dyn MeshTls>, lookup: Arc<dyn Lookup>) -> Self {
        Self { below: format!(".{domain}").into(), trust_domain, tls, lookup, clients: Mutex::default() }
    }

    /// Whether the canonical host is one of the mesh's names.
    pub(super) fn cover(&self, host: &str) -> bool {
        host.ends_with(&*self.below)
    }

    /// The client for a call of `outside`'s owner.
    ///
    /// # Errors
    /// The call is not by TLS, or the owner has no certificate.
    pub(super) fn client(&self, outside: &Outside, uri: &Uri) -> Result<HttpClient, Failure> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            let log = format!("{outside} is a name of the mesh, which is called by https");
            return Err(Failure::hidden(Reason::EgressDenied, log));
        }
        let id = match outside.owner_kind {
            Kind::Trigger => self.trust_domain.trigger(&outside.owner),
            _ => self.trust_domain.function(&outside.owner),
        };
        let settings = self.tls.client_config(&id);
        let settings =
            settings.map_err(|error| Failure::hidden(Reason::UpConnect, format!("calling {outside}: {error}")))?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.get(&id).filter(|(made_with, _)| Arc::ptr_eq(made_with, &settings)) {
            return Ok(client.clone());
        }
        if clients.len() >= WORKLOADS_MAX {
            clients.clear();
        }
        let client = self.made(&settings);
        clients.insert(id, (settings, client.clone()));
        Ok(client)
    }

    fn made(&self, settings: &Arc<ClientConfig>) -> HttpClient {
        let https = HttpsConnectorBuilder::new().with_tls_config((**settings).clone()).https_only().enable_http1();
        let resolver = CheckedResolver::new(Allowed::Anything, self.lookup.clone());
        pooled(https.wrap_connector(connector(resolver)))
    }
}
