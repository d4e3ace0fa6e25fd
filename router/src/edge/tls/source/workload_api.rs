//! Certificates from a SPIFFE Workload API (SPIFFE Workload API, version 1.0): one gRPC stream over a unix socket on which
//! the whole state comes anew with each change. The one call that is needed is spoken here on hyper's HTTP/2, so that the
//! node brings no second HTTP stack for it and sees the revocation lists that clients commonly drop.

mod call;
mod message;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivatePkcs8KeyDer};
use tokio::time::timeout;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use self::call::Stream;
use self::message::Update;
use super::files::of_domain;
use super::{NoIdentity, Node, alarm, rely_on};
use crate::edge::tls::Trust;
use crate::edge::tls::bundle;
use crate::edge::tls::keyring::Keyring;
use crate::edge::tls::own::Own;
use crate::path::spiffe::TrustDomain;

/// How long a node that starts waits for its first certificate.
const FIRST_TIME: Duration = Duration::from_secs(30);

/// Pauses between tries to reach the agent: doubled from the first to the last. Certificates last hours, agents restart
/// within seconds.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_LAST: Duration = Duration::from_secs(30);

/// A stream of certificates.
pub(super) struct FromWorkloadApi {
    socket: PathBuf,
    trust_domain: TrustDomain,
    stream: Stream,
}

impl FromWorkloadApi {
    pub(super) async fn open(socket: &Path, node: &Node, keyring: &Keyring) -> Result<Self, NoIdentity> {
        let socket = socket.strip_prefix("unix:").unwrap_or(socket).to_owned();
        let failed = |why: String| NoIdentity(format!("the Workload API at {}: {why}", socket.display()));
        let first = async {
            let mut stream = Stream::open(&socket).await?;
            let update = stream.next().await?;
            Ok::<_, String>((stream, update))
        };
        let first = timeout(FIRST_TIME, first).await;
        let first = first.map_err(|_| failed(format!("gave no certificate within {} s", FIRST_TIME.as_secs())))?;
        let (stream, update) = first.map_err(failed)?;
        let (own, trust) = read(&update, &node.trust_domain, keyring).map_err(failed)?;
        keyring.show(own);
        keyring.rely_on(trust).await;
        Ok(Self { socket: socket.clone(), trust_domain: node.trust_domain.clone(), stream })
    }

    /// Takes each change; reaches the agent again when it is gone.
    pub(super) async fn run(mut self, keyring: &Keyring) {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.stream.next().await {
                Ok(update) => {
                    pause = PAUSE_FIRST;
                    self.take(&update, keyring).await;
                }
                Err(why) => {
                    alarm(&format!(
                        "the Workload API at {}: {why}; what it gave last stays in force",
                        self.socket.display()
                    ));
                    self.stream = loop {
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(PAUSE_LAST);
                        match Stream::open(&self.socket).await {
                            Ok(stream) => break stream,
                            Err(why) => tracing::warn!(%why, "cannot reach the Workload API"),
                        }
                    };
                }
            }
        }
    }

    async fn take(&self, update: &Update, keyring: &Keyring) {
        match read(update, &self.trust_domain, keyring) {
            Ok((own, trust)) => {
                tracing::info!(id = %own.id(), not_after = own.not_after(), "the Workload API renewed the certificate");
                // Trust first: the new certificate may be signed by a root that came with it.
                rely_on(keyring, trust).await;
                keyring.show(own);
            }
            Err(why) => {
                alarm(&format!("the Workload API gave something that cannot be used: {why}; the last stays in force"))
            }
        }
    }
}

/// What an update says: the first certificate is the default one (section 5.2.1 of the standard).
fn read(update: &Update, trust_domain: &TrustDomain, keyring: &Keyring) -> Result<(Own, Trust), String> {
    let first = update.svids.first().ok_or("it gave no certificate: nothing is registered for this node")?;
    let chain = split(&first.x509_svid).ok_or("its certificate cannot be read")?;
    let key = PrivatePkcs8KeyDer::from(first.x509_svid_key.clone()).into();
    let own = Own::given(chain, &key, keyring.now()).map_err(|error| error.to_string())?;
    let own = of_domain(own, trust_domain)?;
    let roots = |der: &[u8]| -> Result<Vec<CertificateDer<'static>>, String> {
        let roots = split(der).ok_or("a bundle cannot be read")?;
        bundle::checked_roots(roots).map_err(|error| format!("a bundle {error}"))
    };
    let mut domains = vec![(trust_domain.clone(), roots(&first.bundle)?)];
    for (name, bundle) in &update.federated_bundles {
        let name: TrustDomain = name
            .strip_prefix("spiffe://")
            .unwrap_or(name)
            .parse()
            .map_err(|_| format!("a bundle is of {name:?}, which is no trust domain"))?;
        // Our own roots come from our own bundle alone.
        if name != *trust_domain {
            domains.push((name, roots(bundle)?));
        }
    }
    let lists: Vec<_> = update.crl.iter().map(|list| CertificateRevocationListDer::from(list.clone())).collect();
    let all: Vec<_> = domains.iter().flat_map(|(_, roots)| roots.iter().cloned()).collect();
    bundle::check_lists(&lists, &all).map_err(|error| error.to_string())?;
    Ok((own, Trust::new(domains, &lists).map_err(|error| format!("a bundle {error}"))?))
}

/// Certificates in DER, one behind the other.
fn split(mut der: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let mut found = Vec::new();
    while !der.is_empty() {
        let (rest, _) = X509Certificate::from_der(der).ok()?;
        let (one, _) = der.split_at(der.len() - rest.len());
        found.push(CertificateDer::from(one.to_vec()));
        der = rest;
    }
    Some(found)
}

#[cfg(test)]
pub(super) mod agent;
