//! Makes certificates for the tests of this folder: authorities and leaves, good ones unless a test spoils them.

pub(super) mod cases;

use std::time::Duration;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use time::OffsetDateTime;

/// The time at which all these certificates are looked at: 2033-05-18.
pub(super) const NOW: u64 = 2_000_000_000;

/// The id of a leaf that nobody spoiled.
pub(super) const ID: &str = "spiffe://weft.local/ns/shop/sa/clerk";

pub(super) fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(NOW))
}

/// `NOW` and so many seconds.
pub(super) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW as i64 + seconds).unwrap()
}

/// Somebody who signs.
pub(super) struct Authority {
    pub(super) der: CertificateDer<'static>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A root.
    pub(super) fn root(name: &str) -> Self {
        let (params, key) = (authority(name), KeyPair::generate().unwrap());
        Self { der: params.self_signed(&key).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    /// An authority below this one, spoiled by `edit`.
    pub(super) fn below(&self, name: &str, edit: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (authority(name), KeyPair::generate().unwrap());
        edit(&mut params);
        Self { der: params.signed_by(&key, &self.issuer).unwrap().der().clone(), issuer: Issuer::new(params, key) }
    }

    /// A leaf for `ID`, spoiled by `edit`.
    pub(super) fn leaf(&self, edit: impl FnOnce(&mut CertificateParams)) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (self.certify(&key, edit), key)
    }

    /// A leaf with somebody's key.
    pub(super) fn certify(
        &self,
        key: &impl PublicKeyData,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> CertificateDer<'static> {
        let mut params = leaf();
        edit(&mut params);
        params.signed_by(key, &self.issuer).unwrap().der().clone()
    }

    /// A list that revokes these certificates; `until` is its next update, in seconds from `NOW`.
    pub(super) fn revoke(
        &self,
        certificates: &[&CertificateDer<'_>],
        until: i64,
    ) -> CertificateRevocationListDer<'static> {
        let revoked = certificates.iter().map(|certificate| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial(certificate)),
            revocation_time: at(-60),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: at(-3600),
            next_update: at(until),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().clone()
    }
}

/// What an authority's certificate says.
fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// What a leaf's certificate says.
fn leaf() -> CertificateParams {
    let mut params = named("a workload");
    params.subject_alt_names = vec![uri(ID)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = at(-3600);
    params.not_after = at(3600);
    params
}

pub(super) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

pub(super) fn dns(text: &str) -> SanType {
    SanType::DnsName(Ia5String::try_from(text).unwrap())
}

fn serial(certificate: &CertificateDer<'_>) -> Vec<u8> {
    x509_parser::parse_x509_certificate(certificate).unwrap().1.raw_serial().to_vec()
}

/// A vector of spiffe/go-spiffe. The folder is `WEFT_VECTORS`, from the project's root; without it the test passes, unless
/// `CI` is set.
pub(super) fn vector(name: &str) -> Option<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("WEFT_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let path = root.join(folder).join("spiffe").join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot read {}: {error}; set WEFT_VECTORS", path.display());
            eprintln!("skipped: cannot read {}: {error}; set WEFT_VECTORS", path.display());
            None
        }
    }
}
