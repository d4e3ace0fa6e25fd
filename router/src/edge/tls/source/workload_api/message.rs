//! The messages of `workloadapi.proto` that are needed, with the numbers that the standard gives their fields.

use std::collections::HashMap;

/// `X509SVIDResponse`: everything, each time.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Update {
    #[prost(message, repeated, tag = "1")]
    pub(super) svids: Vec<Svid>,
    /// Revocation lists in DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) crl: Vec<Vec<u8>>,
    /// Roots of other trust domains, by their name.
    #[prost(map = "string, bytes", tag = "3")]
    pub(super) federated_bundles: HashMap<String, Vec<u8>>,
}

/// `X509SVID`. Its key must never reach a log.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Svid {
    #[prost(string, tag = "1")]
    pub(super) spiffe_id: String,
    /// The chain in DER, leaf first.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) x509_svid: Vec<u8>,
    /// PKCS#8 in DER.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) x509_svid_key: Vec<u8>,
    /// Roots of its own trust domain, in DER.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) hint: String,
}

impl std::fmt::Debug for Svid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Svid").field("spiffe_id", &self.spiffe_id).finish_non_exhaustive()
    }
}
