//! Whom we trust at this moment: roots per trust domain and what their authorities have revoked. Immutable and swapped
//! whole, so that a handshake and the check of open connections judge by one state.
//!
//! The rules of [`super::svid`] come first, then rustls-webpki builds a path to a root of the leaf's own trust domain.
//! rustls-webpki refuses every chain with a name constraint on URIs (C-02): authorities constrained so cannot be used.

use std::fmt;

use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, TrustAnchor, UnixTime};
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth, RevocationOptionsBuilder,
    UnknownStatusPolicy, anchor_from_trusted_cert,
};

use super::bundle::{self, BadBundle};
use super::fault::{Fault, Part};
use super::svid::{self, Role, Svid};
use crate::path::spiffe::{SpiffeId, TrustDomain};

/// A certificate that was verified: what the connection's owner proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Whose it is.
    pub id: SpiffeId,
    /// Its serial number in lower-case hex.
    pub serial: Box<str>,
    /// The identifier of the key that signed it, in hex; empty if the certificate does not say.
    pub issuer_key_id: Box<str>,
    /// When it, or an authority between it and the root, ends, in seconds since 1970.
    pub not_after: u64,
}

impl Certificate {
    /// What a chain says that was verified a moment ago, without verifying it again.
    ///
    /// # Errors
    /// It breaks SPIFFE's rules, so it was not verified.
    pub(super) fn of_verified(chain: &[CertificateDer<'_>], role: Role, now: UnixTime) -> Result<Self, Fault> {
        let svid = svid::read(chain, role)?;
        let ends = chain.iter().skip(1).map(|signer| svid::not_after(signer));
        // One that is over already is no part of the path that was found.
        let ends = ends.filter(|end| *end >= now.as_secs());
        Ok(Self::new(svid, ends))
    }

    /// It ends when the first of its signers does.
    fn new(svid: Svid, ends: impl Iterator<Item = u64>) -> Self {
        let not_after = ends.fold(svid.not_after, u64::min);
        Self { id: svid.id, serial: svid.serial, issuer_key_id: svid.issuer_key_id, not_after }
    }
}

/// Roots and revocation lists.
pub struct Trust {
    domains: Vec<Domain>,
    lists: Vec<CertRevocationList<'static>>,
    /// When the first of the lists should be followed by a newer one, in seconds since 1970.
    lists_due: Option<u64>,
}

struct Domain {
    name: TrustDomain,
    roots: Vec<TrustAnchor<'static>>,
    /// The same, as certificates.
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// Trusts each domain's roots for that domain and no other.
    ///
    /// # Errors
    /// A root or a list cannot be used; see [`bundle`], whose readers find that out with better words.
    pub fn new(
        domains: impl IntoIterator<Item = (TrustDomain, Vec<CertificateDer<'static>>)>,
        lists: &[CertificateRevocationListDer<'_>],
    ) -> Result<Self, BadBundle> {
        let domains = domains.into_iter().map(|(name, roots)| {
            let anchors = roots.iter().enumerate().map(|(index, root)| {
                let anchor = anchor_from_trusted_cert(root).map_err(|_| BadBundle::NotARoot(index + 1))?;
                Ok(anchor.to_owned())
            });
            Ok(Domain { name, roots: anchors.collect::<Result<_, BadBundle>>()?, certificates: roots })
        });
        let lists_due = lists.iter().filter_map(bundle::next_update).min();
        let lists = lists.iter().enumerate();
        let lists = lists.map(|(index, list)| bundle::usable(list).map_err(|error| BadBundle::List(index + 1, error)));
        let (domains, lists) = (domains.collect::<Result<_, BadBundle>>()?, lists.collect::<Result<_, _>>()?);
        Ok(Self { domains, lists, lists_due })
    }

    /// Trusts nobody.
    pub fn nobody() -> Self {
        Self { domains: Vec::new(), lists: Vec::new(), lists_due: None }
    }

    /// The roots of the first domain, which is the node's own, in PEM.
    pub fn bundle(&self) -> String {
        let roots = self.domains.first().map(|domain| domain.certificates.as_slice()).unwrap_or_default();
        roots.iter().map(|root| bundle::pem("CERTIFICATE", root)).collect()
    }

    /// When the first of the lists says that there will be a newer one, in seconds since 1970.
    pub fn lists_due(&self) -> Option<u64> {
        self.lists_due
    }

    /// Whether an id is of the first domain, which is the node's own.
    pub fn is_ours(&self, id: &SpiffeId) -> bool {
        self.domains.first().is_some_and(|domain| domain.name.as_str() == id.trust_domain())
    }

    /// Judges a chain, leaf first: SPIFFE's rules, a path to a root of its trust domain, validity, revocation.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, chain: &[CertificateDer<'_>], role: Role, now: UnixTime) -> Result<Certificate, Fault> {
        let svid = svid::read(chain, role)?;
        let domain = self.domains.iter().find(|domain| domain.name.as_str() == svid.id.trust_domain());
        let domain = domain.ok_or(Fault::UnknownTrustDomain)?;
        let (leaf, signers) = chain.split_first().ok_or(Fault::Unreadable(Part::Leaf))?;
        let leaf = EndEntityCert::try_from(leaf)?;
        let usage = match role {
            Role::Client => KeyUsage::client_auth(),
            Role::Server => KeyUsage::server_auth(),
        };
        let lists: Vec<_> = self.lists.iter().collect();
        // Without a list there is nothing to ask. A list that is out of date still revokes what it names, and does not shut
        // everybody out: that somebody stopped renewing it is an alarm, as for a list that is bad (C-03), not an outage.
        let revocation = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Allow)
                .with_expiration_policy(ExpirationPolicy::Ignore)
                .build()
        });
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        let path = leaf.verify_for_usage(algorithms, &domain.roots, signers, now, usage, revocation, None)?;
        let ends = path.intermediate_certificates().map(|signer| svid::not_after(&signer.der()));
        Ok(Certificate::new(svid, ends))
    }
}

/// Whether a leaf has this DNS name or address among its alternative names.
pub fn has_name(leaf: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    EndEntityCert::try_from(leaf).is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(name).is_ok())
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains = self.domains.iter().map(|domain| (domain.name.as_str(), domain.roots.len()));
        f.debug_struct("Trust")
            .field("roots", &domains.collect::<Vec<_>>())
            .field("revocation_lists", &self.lists.len())
            .finish()
    }
}

#[cfg(test)]
mod tests;
