//! The vectors of C2SP/wycheproof for signatures, keys and both: every invalid one is refused, every valid one that uses
//! what we support is taken.
//!
//! Valid in their eyes and refused here, all for reasons of principle:
//! - shared secrets (`HS256` and its kin) and encryption (`JWE`), which prove nothing about who wrote a token;
//! - `ES512` on P-521, which no Issuer can allow;
//! - two signatures with PS384 under a key that says `"alg": "PS256"` (346 and 350, made from RFC 7520, figure 20). The key
//!   decides the algorithm; the same file wants PS256 and PS384 refused under a key that says PS512 (338 and 340). They are
//!   taken when the key says PS384.

use std::path::Path;

use weft_functions::issuer::Algorithm;

use super::super::keys::KeySet;
use super::*;

/// Signatures whose algorithm is not the one that their key names.
const NOT_THE_KEYS_ALGORITHM: [u64; 2] = [346, 350];

/// What became of the vectors of one file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Invalid and refused.
    refused: usize,
    /// Valid and taken.
    taken: usize,
    /// Valid, and not ours to take.
    unsupported: usize,
    /// Valid, and signed with an algorithm that the key does not name.
    contradicts_its_key: usize,
}

/// The folder of vectors is `WEFT_VECTORS`, from the project's root. Without it the test passes, unless `CI` is set.
fn read(file: &str) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = std::env::var_os("WEFT_VECTORS").unwrap_or_else(|| "../shared/vectors".into());
    let path = root.join(folder).join("wycheproof").join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).expect("JSON")),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "cannot read {}: {error}; set WEFT_VECTORS", path.display());
            eprintln!("skipped: cannot read {}: {error}; set WEFT_VECTORS", path.display());
            None
        }
    }
}

/// The group's public keys as an issuer would publish them.
fn published(group: &Value) -> Value {
    let keys = group.get("public").unwrap_or(&group["private"]);
    if keys.get("keys").is_some() { keys.clone() } else { json!({ "keys": [keys] }) }
}

fn verify(jwks: &Value, token: &str) -> Result<(), Refusal> {
    let keys = KeySet::parse(jwks.to_string().as_bytes(), &Algorithm::ALL).map_err(Refusal::invalid)?;
    let jws = Jws::parse(token.as_bytes())?;
    let key = keys.find(jws.kid.as_deref()).ok_or_else(|| Refusal::invalid("no such key"))?;
    key.verify(&jws)
}

/// Whether the token's header names one of our algorithms.
fn supported(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    token.split('.').count() == 3 && Algorithm::ALL.iter().any(|algorithm| header["alg"] == algorithm.as_str())
}

fn with_algorithm(jwks: &Value, algorithm: &str) -> Value {
    let mut jwks = jwks.clone();
    jwks["keys"][0]["alg"] = json!(algorithm);
    jwks
}

fn check(file: &str, expect: Counts) {
    let Some(vectors) = read(file) else { return };
    let mut counts = Counts::default();
    for group in vectors["testGroups"].as_array().expect("groups") {
        let jwks = published(group);
        for test in group["tests"].as_array().expect("tests") {
            let (id, comment) = (test["tcId"].as_u64().expect("an id"), &test["comment"]);
            let token = test.get("jws").or(test.get("jwe")).expect("a token");
            // What is not a text is in the JSON form.
            let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
            let found = verify(&jwks, &token);
            match test["result"].as_str().expect("a result") {
                "invalid" => {
                    assert!(found.is_err(), "{file} {id} {comment} is taken");
                    counts.refused += 1;
                }
                "valid" if NOT_THE_KEYS_ALGORITHM.contains(&id) && file.contains("signature") => {
                    assert!(found.is_err(), "{file} {id} {comment} is taken");
                    assert_eq!(verify(&with_algorithm(&jwks, "PS384"), &token), Ok(()), "{file} {id} {comment}");
                    counts.contradicts_its_key += 1;
                }
                "valid" if supported(&token) => {
                    assert_eq!(found, Ok(()), "{file} {id} {comment}");
                    counts.taken += 1;
                }
                "valid" => {
                    assert!(found.is_err(), "{file} {id} {comment} is taken");
                    counts.unsupported += 1;
                }
                other => panic!("{file} {id} {comment}: what is {other}?"),
            }
        }
    }
    println!("{file}: {counts:?}");
    assert_eq!(counts, expect, "{file}");
}

#[test]
fn signatures() {
    let expect = Counts { refused: 355, taken: 32, unsupported: 12, contradicts_its_key: 2 };
    check("json_web_signature_test.json", expect);
}

#[test]
fn keys() {
    check("json_web_key_test.json", Counts { refused: 21, taken: 1, unsupported: 4, contradicts_its_key: 0 });
}

#[test]
fn both() {
    check("json_web_crypto_test.json", Counts { refused: 77, taken: 2, unsupported: 4, contradicts_its_key: 0 });
}

/// The same file asks for both; this is why two of its vectors cannot be followed.
#[test]
fn a_key_of_one_algorithm_does_not_verify_another() {
    let Some(vectors) = read("json_web_signature_test.json") else { return };
    for group in vectors["testGroups"].as_array().expect("groups") {
        let jwks = published(group);
        for test in group["tests"].as_array().expect("tests") {
            let algorithm = match test["tcId"].as_u64() {
                Some(338) => "PS256",
                Some(340) => "PS384",
                _ => continue,
            };
            let token = test["jws"].as_str().expect("a token");
            assert!(verify(&jwks, token).is_err());
            assert_eq!(verify(&with_algorithm(&jwks, algorithm), token), Ok(()), "only the key's `alg` forbids it");
        }
    }
}
