//! Certificates that something else writes into files and renews (C-07): a pair is taken only when both halves belong
//! together, so whoever writes them need not do so at once.

use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use super::watched::{TrustFiles, Watched};
use super::{Files, NoIdentity, Node, alarm, rely_on};
use crate::edge::tls::bundle;
use crate::edge::tls::keyring::Keyring;
use crate::edge::tls::own::Own;
use crate::path::spiffe::TrustDomain;

/// A pair of files and the trust beside it.
pub(super) struct FromFiles {
    certificate: Watched,
    key: Watched,
    trust: TrustFiles,
    trust_domain: TrustDomain,
}

impl FromFiles {
    pub(super) async fn open(files: &Files, node: &Node, keyring: &Keyring) -> Result<Self, NoIdentity> {
        let mut from = Self {
            certificate: Watched::new(&files.cert),
            key: Watched::new(&files.key),
            trust: TrustFiles::new(&node.trust_domain, &files.bundle, files.crl.as_deref(), false),
            trust_domain: node.trust_domain.clone(),
        };
        from.certificate.changed().await;
        from.key.changed().await;
        let own = from.own(keyring).map_err(NoIdentity)?;
        let trust = from.trust.open().await.map_err(NoIdentity)?;
        keyring.show(own);
        keyring.rely_on(trust).await;
        Ok(from)
    }

    pub(super) async fn look(&mut self, keyring: &Keyring) {
        // Trust first: a new certificate may be signed by a root that came with it.
        if let Some(trust) = self.trust.look().await {
            rely_on(keyring, trust).await;
        }
        // Both are looked at, whatever the first says.
        let changed = [self.certificate.changed().await, self.key.changed().await];
        if changed == [false, false] {
            return;
        }
        match self.own(keyring) {
            Ok(own) => {
                tracing::info!(id = %own.id(), not_after = own.not_after(), "the node's certificate was renewed");
                keyring.show(own);
            }
            Err(why) => alarm(&format!("{why}; the certificate before it is shown on")),
        }
    }

    fn own(&self, keyring: &Keyring) -> Result<Own, String> {
        let path = self.certificate.path().display();
        let chain = bundle::certificates(self.certificate.bytes()?).map_err(|error| format!("{path} {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.bytes()?)
            .map_err(|_| format!("{} holds no private key in PEM", self.key.path().display()))?;
        let own = Own::given(chain, &key, keyring.now()).map_err(|error| format!("{path}: {error}"))?;
        of_domain(own, &self.trust_domain).map_err(|why| format!("{path}: {why}"))
    }
}

/// A certificate of another trust domain would be shown to peers that expect ours.
pub(super) fn of_domain(own: Own, trust_domain: &TrustDomain) -> Result<Own, String> {
    if own.id().trust_domain() == trust_domain.as_str() {
        return Ok(own);
    }
    Err(format!("the certificate is for {}, and the node's trust domain is {trust_domain}", own.id()))
}
