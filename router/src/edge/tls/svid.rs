//! SPIFFE's rules for a chain of certificates (X509-SVID, version 1.0), which no general verifier knows: what a leaf and
//! what a signer must and must not be, and whose id it is. Pure: whether a root vouches for the chain is [`super::trust`]'s.
//!
//! Stricter than the standard where it leaves a choice: a chain with a bad certificate is refused although a path might do
//! without it, and a signer that names a trust domain must name the leaf's.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519, Oid,
};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::fault::{Fault, Part};
use crate::path::spiffe::{SpiffeId, TrustDomain};

/// Certificates of a chain that are read. SPIRE's deepest nesting has four.
pub const CHAIN_MAX: usize = 8;

/// Bytes of a chain that are read: a TLS 1.3 handshake message of rustls has at most 64 KiB.
pub const CHAIN_BYTES_MAX: usize = 64 * 1024;

/// Bits of the smallest and the largest RSA key that is taken.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// What the peer is in the handshake; its certificate must be made for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The peer called us.
    Client,
    /// We called the peer.
    Server,
}

/// What a chain that keeps the rules says of its owner. Nobody has vouched for it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svid {
    /// The one URI of the leaf.
    pub id: SpiffeId,
    /// The leaf's serial number in hex, as `openssl x509 -serial` prints it, in lower case.
    pub serial: Box<str>,
    /// The identifier of the key that signed the leaf, in hex; empty if the leaf does not say.
    pub issuer_key_id: Box<str>,
    /// When the leaf ends, in seconds since 1970.
    pub not_after: u64,
}

/// Reads a chain, leaf first, by the rules.
///
/// # Errors
/// The first rule that is broken.
pub fn read(chain: &[CertificateDer<'_>], role: Role) -> Result<Svid, Fault> {
    if chain.len() > CHAIN_MAX {
        return Err(Fault::ChainTooLong(chain.len()));
    }
    let bytes = chain.iter().map(|certificate| certificate.len()).sum();
    if bytes > CHAIN_BYTES_MAX {
        return Err(Fault::ChainTooLarge(bytes));
    }
    let (leaf, signers) = chain.split_first().ok_or(Fault::Unreadable(Part::Leaf))?;
    let leaf = parse(leaf, Part::Leaf)?;
    let svid = check_leaf(&leaf, role)?;
    for signer in signers {
        check_signer(&parse(signer, Part::Signer)?, svid.id.trust_domain())?;
    }
    Ok(svid)
}

/// When a certificate ends, in seconds since 1970; 0 for what is none.
pub(super) fn not_after(der: &[u8]) -> u64 {
    X509Certificate::from_der(der).map_or(0, |(_, certificate)| seconds(&certificate))
}

fn seconds(certificate: &X509Certificate<'_>) -> u64 {
    u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0)
}

fn parse<'a>(der: &'a CertificateDer<'_>, part: Part) -> Result<X509Certificate<'a>, Fault> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(Fault::Unreadable(part)),
    }
}

fn check_leaf(leaf: &X509Certificate<'_>, role: Role) -> Result<Svid, Fault> {
    let id: SpiffeId = one_uri(leaf, Part::Leaf)?.ok_or(Fault::NoId)?.parse()?;
    if is_authority(leaf, Part::Leaf)? {
        return Err(Fault::LeafIsAuthority);
    }
    let usage = leaf.key_usage().map_err(|_| Fault::Extension(Part::Leaf, "key usage"))?;
    let usage = usage.ok_or(Fault::NoKeyUsage(Part::Leaf))?.value;
    if usage.key_cert_sign() || usage.crl_sign() {
        return Err(Fault::LeafSigns);
    }
    if !usage.digital_signature() {
        return Err(Fault::NoDigitalSignature);
    }
    check_purpose(leaf, role)?;
    check_key(leaf, Part::Leaf)?;
    Ok(Svid {
        id,
        serial: hex(leaf.raw_serial()).into(),
        issuer_key_id: authority_key_id(leaf).map(hex).unwrap_or_default().into(),
        not_after: seconds(leaf),
    })
}

fn check_signer(signer: &X509Certificate<'_>, trust_domain: &str) -> Result<(), Fault> {
    if !is_authority(signer, Part::Signer)? {
        return Err(Fault::SignerIsNoAuthority);
    }
    let usage = signer.key_usage().map_err(|_| Fault::Extension(Part::Signer, "key usage"))?;
    if !usage.ok_or(Fault::NoKeyUsage(Part::Signer))?.value.key_cert_sign() {
        return Err(Fault::SignerMayNotSign);
    }
    if let Some(uri) = one_uri(signer, Part::Signer)? {
        let named = uri.strip_prefix("spiffe://").ok_or(Fault::SignerId)?;
        let named: TrustDomain = named.parse().map_err(|_| Fault::SignerId)?;
        if named.as_str() != trust_domain {
            return Err(Fault::SignerOfOtherDomain);
        }
    }
    check_key(signer, Part::Signer)
}

/// The URI among the alternative names; other kinds of names may stand beside it.
fn one_uri<'a>(certificate: &'a X509Certificate<'_>, part: Part) -> Result<Option<&'a str>, Fault> {
    let names = certificate.subject_alternative_name();
    let Some(names) = names.map_err(|_| Fault::Extension(part, "alternative names"))? else { return Ok(None) };
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let first = uris.next();
    match uris.count() {
        0 => Ok(first),
        more => Err(Fault::ManyIds(part, more + 1)),
    }
}

fn is_authority(certificate: &X509Certificate<'_>, part: Part) -> Result<bool, Fault> {
    let constraints = certificate.basic_constraints().map_err(|_| Fault::Extension(part, "basic constraints"))?;
    Ok(constraints.is_some_and(|constraints| constraints.value.ca))
}

/// X509-SVID, section 4.4: without the extension a certificate is for both sides; with it, it must name this one.
fn check_purpose(leaf: &X509Certificate<'_>, role: Role) -> Result<(), Fault> {
    let usage = leaf.extended_key_usage().map_err(|_| Fault::Extension(Part::Leaf, "extended key usage"))?;
    let Some(usage) = usage else { return Ok(()) };
    let (named, what) = match role {
        Role::Client => (usage.value.client_auth, "clients (clientAuth)"),
        Role::Server => (usage.value.server_auth, "servers (serverAuth)"),
    };
    if named { Ok(()) } else { Err(Fault::Purpose(what)) }
}

fn check_key(certificate: &X509Certificate<'_>, part: Part) -> Result<(), Fault> {
    let key = certificate.public_key();
    let kind = &key.algorithm.algorithm;
    let strong = if *kind == OID_PKCS1_RSAENCRYPTION {
        matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&bits(rsa.modulus)))
    } else if *kind == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        curve.is_some_and(|curve: Oid<'_>| [OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521].contains(&curve))
    } else {
        *kind == OID_SIG_ED25519
    };
    if strong { Ok(()) } else { Err(Fault::WeakKey(part)) }
}

/// Bits of a big-endian number.
fn bits(number: &[u8]) -> usize {
    let digits = number.iter().position(|byte| *byte != 0).map_or(&[][..], |first| &number[first..]);
    let top = digits.first().map_or(0, |top| top.leading_zeros());
    digits.len() * 8 - top as usize
}

fn authority_key_id<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        x509_parser::extensions::ParsedExtension::AuthorityKeyIdentifier(key) => {
            key.key_identifier.as_ref().map(|id| id.0)
        }
        _ => None,
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
