//! The embedded authority: a root that makes certificates for small meshes and for development. Separate because it is the
//! only place that holds a key which can make identities; where its files lie is [`files`]'s matter.
//!
//! Keys are P-256. A certificate lasts 24 h, the root ten years. A certificate begins a minute before it was made, for
//! clocks that are late.

pub mod files;

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::path::spiffe::{SpiffeId, TrustDomain};

/// How long a certificate lasts.
pub const LEAF_LIFE: Duration = Duration::hours(24);

/// How long a root lasts.
const ROOT_LIFE: Duration = Duration::days(3653);

/// How long a revocation list says it is up to date. The folder's list is the truth until somebody revokes more, so it does
/// not grow old before its root does.
const LIST_LIFE: Duration = ROOT_LIFE;

/// By how much a certificate begins earlier than it was made.
const EARLIER: Duration = Duration::minutes(1);

/// Bytes of a serial number: RFC 5280, section 4.1.2.2, allows 20.
const SERIAL_BYTES: usize = 16;

/// Why an authority cannot be read, or cannot make something.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its files are not what they should be.
    #[error("{0}")]
    Unusable(String),
    /// rcgen refuses.
    #[error("cannot make a certificate: {0}")]
    Making(#[from] rcgen::Error),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// A root and its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    trust_domain: TrustDomain,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Issued {
    /// The certificate, and what leads to the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Makes the root of a trust domain; `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn make(trust_domain: &TrustDomain, now: u64) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = params(now, ROOT_LIFE)?;
        // Two roots of one trust domain, while one follows the other, need two names: lists go by them.
        let number = super::svid::hex(&random::<4>()?);
        params.distinguished_name.push(DnType::CommonName, format!("weft root {number}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(format!("spiffe://{trust_domain}"))?)];
        let root = params.self_signed(&key)?.der().clone();
        Ok(Self { issuer: Issuer::new(params, key), root, trust_domain: trust_domain.clone() })
    }

    /// Takes a root and its key in PEM.
    ///
    /// # Errors
    /// They are not readable, do not belong together, or the root is none of a SPIFFE trust domain.
    pub fn from_pem(root: &[u8], key: &[u8]) -> Result<Self, AuthorityError> {
        let unusable = |what: &str| AuthorityError::Unusable(what.to_owned());
        let roots = super::bundle::roots(root)
            .map_err(|error| AuthorityError::Unusable(format!("the authority's certificate {error}")))?;
        let [root] = <[_; 1]>::try_from(roots).map_err(|_| unusable("there is more than one certificate in it"))?;
        let key = PrivateKeyDer::from_pem_slice(key).ok();
        let key = key.as_ref().and_then(|key| KeyPair::try_from(key).ok());
        let key = key.ok_or_else(|| unusable("the authority's key is no private key in PEM"))?;
        let trust_domain = trust_domain_of(&root).ok_or_else(|| {
            unusable("the authority's certificate names no trust domain (one URI of the form spiffe://TRUST-DOMAIN)")
        })?;
        let (_, parsed) = X509Certificate::from_der(&root).map_err(|_| unusable("not a certificate"))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(unusable("the authority's key is not that of its certificate"));
        }
        Ok(Self { issuer: Issuer::from_ca_cert_der(&root, key)?, root, trust_domain })
    }

    /// The trust domain whose ids it makes.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its certificate.
    pub fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// A certificate for an id of its trust domain, with DNS names, and a key of its own.
    ///
    /// # Errors
    /// The id is of another trust domain.
    pub fn issue(&self, id: &SpiffeId, names: &[String], now: u64) -> Result<Issued, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = self.certify(&key, id, names, now)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Issued { chain: vec![certificate.der().clone()], key })
    }

    /// A certificate for an id and somebody's key.
    ///
    /// # Errors
    /// The id is of another trust domain, or a name is no name.
    pub(super) fn certify(
        &self,
        key: &KeyPair,
        id: &SpiffeId,
        names: &[String],
        now: u64,
    ) -> Result<Certificate, AuthorityError> {
        if id.trust_domain() != self.trust_domain.as_str() {
            let what = format!("this authority makes ids of {}, not {id}", self.trust_domain);
            return Err(AuthorityError::Unusable(what));
        }
        let mut params = params(now, LEAF_LIFE)?;
        params.subject_alt_names.push(SanType::URI(Ia5String::try_from(id.as_str())?));
        for name in names {
            params.subject_alt_names.push(SanType::DnsName(Ia5String::try_from(name.as_str())?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        Ok(params.signed_by(key, &self.issuer)?)
    }

    /// A list of everything that is revoked: serial numbers, each with the time of its revocation in milliseconds.
    ///
    /// # Errors
    /// rcgen refuses, for no reason of ours.
    pub fn list(
        &self,
        revoked: &[(Vec<u8>, u64)],
        now: u64,
    ) -> Result<CertificateRevocationListDer<'static>, AuthorityError> {
        let revoked = revoked.iter().map(|(serial, at)| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: date(*at),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: date(now),
            next_update: date(now) + LIST_LIFE,
            crl_number: SerialNumber::from(now),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.der().clone())
    }

    /// Its key in PEM, for the one file that holds it.
    fn key_pem(&self) -> String {
        super::bundle::pem("PRIVATE KEY", self.issuer.key().serialized_der())
    }
}

/// What all certificates made here have in common.
fn params(now: u64, life: Duration) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "weft");
    params.not_before = date(now) - EARLIER;
    params.not_after = date(now) + life;
    params.serial_number = Some(serial()?);
    Ok(params)
}

/// Random, positive and not zero.
fn serial() -> Result<SerialNumber, AuthorityError> {
    let mut bytes = random::<SERIAL_BYTES>()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn random<const N: usize>() -> Result<[u8; N], AuthorityError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(AuthorityError::Random)?;
    Ok(bytes)
}

/// Milliseconds since 1970 as a date; what lies beyond the year 9999 is 1970.
fn date(ms: u64) -> OffsetDateTime {
    let seconds = i64::try_from(ms / 1000).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

fn trust_domain_of(root: &CertificateDer<'_>) -> Option<TrustDomain> {
    let (_, root) = X509Certificate::from_der(root).ok()?;
    let names = root.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        x509_parser::extensions::GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let (Some(uri), None) = (uris.next(), uris.next()) else { return None };
    uri.strip_prefix("spiffe://")?.parse().ok()
}

#[cfg(test)]
mod tests;
