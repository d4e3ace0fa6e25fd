//! An issuer's public keys (RFC 7517, 7518, 8037), read strictly: each key decides what it verifies, and one that is weak,
//! secret, ambiguous or meant for something else is left out and does not spoil the others.

mod roca;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use weft_functions::issuer::{Algorithm, JWKS_BYTES_MAX, JWKS_KEYS_MAX};

use super::json;
use super::jws::{Jws, KID_MAX};
use super::refusal::Refusal;

/// Members that only a private or a shared key has. A key that was published with them is nobody's any more.
const SECRET: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Sizes of an RSA modulus in bits: shorter ones can be factored, longer ones make verifying slow.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA_ALGORITHMS: [Algorithm; 6] =
    [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];

/// A set of keys that can be used.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    /// At most [`JWKS_KEYS_MAX`], by id. No id stands here twice.
    keys: Vec<(Option<Box<str>>, Arc<Key>)>,
    /// Why others were left out, for the log.
    pub(super) left_out: Vec<String>,
}

/// One public key with the algorithms it may be used with.
#[derive(Debug)]
pub(super) struct Key {
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
    /// Length of its signatures in bytes.
    signature: usize,
    /// Set when it left its issuer's set: nothing that it signed counts from then on.
    gone: AtomicBool,
}

impl KeySet {
    /// Reads a JWK Set; of its keys, those that an Issuer with `allowed` algorithms can use.
    ///
    /// # Errors
    /// The set as a whole is not one: too large, not strict JSON, no list of keys, too many of them.
    pub(super) fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, String> {
        if bytes.len() > JWKS_BYTES_MAX {
            return Err(format!("the key set is longer than {JWKS_BYTES_MAX} bytes"));
        }
        let set = json::object(bytes).map_err(|error| format!("the key set cannot be read: {error}"))?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err("the key set has no list `keys` (RFC 7517, section 5)".to_owned());
        };
        if keys.len() > JWKS_KEYS_MAX {
            return Err(format!("the key set has {} keys; at most {JWKS_KEYS_MAX} are taken", keys.len()));
        }
        let (mut usable, mut left_out) = (Vec::new(), Vec::new());
        for (index, key) in keys.iter().enumerate() {
            match named_key(key, allowed) {
                Ok(key) => usable.push(key),
                Err(why) => left_out.push(format!("keys[{index}] {why}")),
            }
        }
        Ok(Self::of(usable, left_out))
    }

    fn of(usable: Vec<(Option<Box<str>>, Key)>, mut left_out: Vec<String>) -> Self {
        let mut seen = HashSet::new();
        let ids = usable.iter().filter_map(|(kid, _)| kid.clone());
        let twice: HashSet<Box<str>> = ids.filter(|kid| !seen.insert(kid.clone())).collect();
        left_out.extend(twice.iter().map(|kid| format!("{kid:?} is the id of several keys")));
        let alone = |kid: &Option<Box<str>>| kid.as_ref().is_none_or(|kid| !twice.contains(kid));
        let keys = usable.into_iter().filter(|(kid, _)| alone(kid)).map(|(kid, key)| (kid, Arc::new(key))).collect();
        Self { keys, left_out }
    }

    /// The key that a token names. One that names none means the set's only key, where there is only one.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&Arc<Key>> {
        match (kid, self.keys.as_slice()) {
            (None, [(_, key)]) => Some(key),
            (None, _) => None,
            (Some(_), keys) => keys.iter().find(|(own, _)| own.as_deref() == kid).map(|(_, key)| key),
        }
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Takes over from the set before: a key that stayed remains the same one, so that what it verified still counts;
    /// one that is not here any more is gone.
    pub(super) fn succeed(&mut self, before: &Self) {
        for (kid, old) in &before.keys {
            match self.keys.iter_mut().find(|(own, new)| own == kid && **new == **old) {
                Some((_, new)) => *new = old.clone(),
                None => old.gone.store(true, Ordering::Release),
            }
        }
    }
}

impl Key {
    /// Whether `jws` was signed by it, with an algorithm that it is for.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), Refusal> {
        let Some((_, verifier)) = self.verifiers.iter().find(|(algorithm, _)| *algorithm == jws.algorithm) else {
            return Err(Refusal::invalid(format!("the key that the token names is not for {}", jws.algorithm)));
        };
        if jws.signature.len() != self.signature || verifier.verify_sig(jws.signed, &jws.signature).is_err() {
            return Err(Refusal::invalid("the token's signature is wrong"));
        }
        Ok(())
    }

    /// Whether its issuer still has it.
    pub(super) fn is_live(&self) -> bool {
        !self.gone.load(Ordering::Acquire)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        let material = |key: &Self| -> Vec<(Algorithm, Vec<u8>)> {
            key.verifiers.iter().map(|(algorithm, key)| (*algorithm, key.as_ref().to_vec())).collect()
        };
        material(self) == material(other)
    }
}

/// A key that can be used and its id, or why it cannot be used.
fn named_key(jwk: &Value, allowed: &[Algorithm]) -> Result<(Option<Box<str>>, Key), String> {
    let Value::Object(jwk) = jwk else { return Err("is not an object".to_owned()) };
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= KID_MAX => Some(kid.as_str().into()),
        Some(_) => return Err(format!("has a `kid` that is not a text of at most {KID_MAX} bytes")),
    };
    if let Some(name) = SECRET.into_iter().find(|name| jwk.contains_key(*name)) {
        return Err(format!("has the member `{name}`, which is secret"));
    }
    for_signatures(jwk)?;
    Ok((kid, key(jwk, allowed)?))
}

/// RFC 7517, sections 4.2 and 4.3.
fn for_signatures(jwk: &Map<String, Value>) -> Result<(), String> {
    if jwk.get("use").is_some_and(|usage| usage != "sig") {
        return Err("is not for signatures (`use`)".to_owned());
    }
    let verifies = |operations: &Value| {
        operations.as_array().is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    };
    if !jwk.get("key_ops").is_none_or(verifies) {
        return Err("is not for verifying (`key_ops`)".to_owned());
    }
    Ok(())
}

fn key(jwk: &Map<String, Value>, allowed: &[Algorithm]) -> Result<Key, String> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
    let (verifiers, signature) = match (text("kty"), text("crv")) {
        ("RSA", _) => {
            let algorithms = algorithms(jwk, &RSA_ALGORITHMS, allowed)?;
            let (n, e) = (integer(jwk, "n")?, integer(jwk, "e")?);
            let length = n.len();
            (rsa(&algorithms, n, e)?, length)
        }
        ("EC", "P-256") => (elliptic(jwk, Algorithm::Es256, allowed, &signature::ECDSA_P256_SHA256_FIXED, 32)?, 64),
        ("EC", "P-384") => (elliptic(jwk, Algorithm::Es384, allowed, &signature::ECDSA_P384_SHA384_FIXED, 48)?, 96),
        ("OKP", "Ed25519") => {
            algorithms(jwk, &[Algorithm::EdDsa], allowed)?;
            let verifier = parse(&signature::ED25519, &exactly(jwk, "x", 32)?)?;
            (vec![(Algorithm::EdDsa, verifier)], 64)
        }
        ("oct", _) => return Err("is a shared secret".to_owned()),
        _ => return Err("is of a kind that is not taken (`kty`, `crv`)".to_owned()),
    };
    Ok(Key { verifiers, signature, gone: AtomicBool::new(false) })
}

/// Which algorithms a key is for: those of its kind, or the one it names of these, as far as the Issuer allows them.
fn algorithms(jwk: &Map<String, Value>, kind: &[Algorithm], allowed: &[Algorithm]) -> Result<Vec<Algorithm>, String> {
    // D19: the token's header chooses among all that a key of this kind could be used with.
    #[cfg(weft_defects)]
    if crate::path::seeded::is("D19") {
        return Ok(kind.to_vec());
    }
    let named = |algorithm: &Algorithm| jwk.get("alg").is_none_or(|named| named == algorithm.as_str());
    let own: Vec<Algorithm> = kind.iter().copied().filter(named).collect();
    if own.is_empty() {
        return Err("names an algorithm that is not one of its kind (`alg`)".to_owned());
    }
    let both: Vec<Algorithm> = own.into_iter().filter(|algorithm| allowed.contains(algorithm)).collect();
    if both.is_empty() {
        return Err("is for algorithms that the Issuer does not allow".to_owned());
    }
    Ok(both)
}

fn rsa(algorithms: &[Algorithm], n: Vec<u8>, e: Vec<u8>) -> Result<Vec<(Algorithm, ParsedPublicKey)>, String> {
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(format!("has {bits} bits; {} to {} are taken", RSA_BITS.start(), RSA_BITS.end()));
    }
    if roca::is_weak(&n) {
        return Err("was made by a chip whose keys can be factored (CVE-2017-15361)".to_owned());
    }
    // An exponent of 1 makes every message its own signature; an even one has no inverse.
    let exponent = e.iter().try_fold(0_u32, |value, byte| value.checked_mul(256)?.checked_add(u32::from(*byte)));
    if !exponent.is_some_and(|exponent| exponent >= 3 && exponent % 2 == 1) {
        return Err("has an exponent that is not an odd number from 3 to 2^32".to_owned());
    }
    let components = RsaPublicKeyComponents { n, e };
    let verifier = |algorithm: &Algorithm| {
        let parameters = rsa_parameters(*algorithm)?;
        let key = components.to_parsed_public_key(parameters).ok()?;
        Some((*algorithm, key))
    };
    algorithms.iter().map(verifier).collect::<Option<_>>().ok_or_else(not_a_key)
}

fn rsa_parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

/// A point on a curve whose coordinates have `length` bytes.
fn elliptic(
    jwk: &Map<String, Value>,
    algorithm: Algorithm,
    allowed: &[Algorithm],
    verification: &'static dyn VerificationAlgorithm,
    length: usize,
) -> Result<Vec<(Algorithm, ParsedPublicKey)>, String> {
    algorithms(jwk, &[algorithm], allowed)?;
    let (x, y) = (exactly(jwk, "x", length)?, exactly(jwk, "y", length)?);
    // SEC 1, section 2.3.3: an uncompressed point.
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    Ok(vec![(algorithm, parse(verification, &point)?)])
}

fn parse(algorithm: &'static dyn VerificationAlgorithm, bytes: &[u8]) -> Result<ParsedPublicKey, String> {
    ParsedPublicKey::new(algorithm, bytes).map_err(|_| not_a_key())
}

fn not_a_key() -> String {
    "is not a key of its kind".to_owned()
}

fn member(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let text = jwk.get(name).and_then(Value::as_str).ok_or_else(|| format!("lacks the text `{name}`"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("has a `{name}` that is not base64url"))
}

fn exactly(jwk: &Map<String, Value>, name: &str, length: usize) -> Result<Vec<u8>, String> {
    let bytes = member(jwk, name)?;
    if bytes.len() == length { Ok(bytes) } else { Err(format!("has a `{name}` that is not of {length} bytes")) }
}

/// RFC 7518, section 2: the shortest spelling of a number.
fn integer(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let bytes = member(jwk, name)?;
    match bytes.first() {
        None | Some(0) => Err(format!("has a `{name}` that begins with zeros or is empty")),
        Some(_) => Ok(bytes),
    }
}
