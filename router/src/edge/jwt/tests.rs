//! What the tests share: keys of every kind with which tokens are minted, Issuers as manifests, a clock that stands still,
//! and a server of keys that does as it is told.

mod accepted;
mod fetching;
mod hostile;
mod issuers;
mod keysets;
mod vectors;

use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
    RsaSignatureEncoding,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use weft_functions::manifest::{Resource as Any, SourceFile};

use super::*;
use crate::path::outcome::{Failure, Reason};

/// What time it is for tests, in seconds since 1970.
const NOW: u64 = 2_000_000_000;

const ISS: &str = "https://id.example";

/// A clock that only a test moves.
struct Stopped(AtomicU64);

impl Stopped {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(NOW)))
    }

    fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for Stopped {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst) * 1000
    }
}

/// One key of each kind.
struct Mint {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Mint {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            p384: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key"),
            ed: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    /// The RSA key's modulus. Its public half is `SEQUENCE { INTEGER n, INTEGER 65537 }` (RFC 8017, appendix A.1.1).
    fn modulus(&self) -> Vec<u8> {
        let der = self.rsa.public_key().as_ref();
        let (n, rest) = der[9..].split_at(256);
        assert_eq!(rest, [2, 3, 1, 0, 1]);
        n.to_vec()
    }

    /// The public keys, named `rsa`, `p256`, `p384` and `ed`.
    fn jwks(&self) -> Value {
        let point = |key: &EcdsaKeyPair, length: usize| {
            let point = &key.public_key().as_ref()[1..];
            (encode(&point[..length]), encode(&point[length..]))
        };
        let ((x256, y256), (x384, y384)) = (point(&self.p256, 32), point(&self.p384, 48));
        json!({ "keys": [
            { "kty": "RSA", "kid": "rsa", "use": "sig", "n": encode(self.modulus()), "e": "AQAB" },
            { "kty": "EC", "kid": "p256", "crv": "P-256", "x": x256, "y": y256 },
            { "kty": "EC", "kid": "p384", "crv": "P-384", "x": x384, "y": y384, "alg": "ES384" },
            { "kty": "OKP", "kid": "ed", "crv": "Ed25519", "x": encode(self.ed.public_key().as_ref()) },
        ]})
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let rsa = |encoding: &'static RsaSignatureEncoding| {
            let mut signature = vec![0; 256];
            self.rsa.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("a signature");
            signature
        };
        let elliptic =
            |key: &EcdsaKeyPair| key.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec();
        match algorithm {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "ES256" => elliptic(&self.p256),
            "ES384" => elliptic(&self.p384),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            _ => panic!("nothing signs with {algorithm}"),
        }
    }

    /// A token of this header and these claims, as they stand, signed with `algorithm` whatever the header says.
    fn token(&self, algorithm: &str, header: &str, claims: impl AsRef<[u8]>) -> Vec<u8> {
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = encode(self.sign(algorithm, signed.as_bytes()));
        format!("{signed}.{signature}").into_bytes()
    }

    /// A good token with these claims beside the usual ones, or instead of them; `null` leaves one out.
    fn good(&self, changes: Value) -> Vec<u8> {
        self.token("ES256", r#"{"alg":"ES256","kid":"p256"}"#, claims(changes).to_string())
    }
}

/// The claims of a good token with changes; `null` leaves one out.
fn claims(changes: Value) -> Value {
    let mut claims = json!({ "iss": ISS, "aud": "weft", "sub": "ann", "exp": NOW + 600 });
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// An Issuer as a manifest, with `more` in its spec.
fn issuer(name: &str, namespace: &str, issuer: &str, more: Value) -> Resource {
    let mut spec = json!({ "issuer": issuer, "audiences": ["weft", "loom"] });
    for (name, value) in more.as_object().expect("an object") {
        spec[name] = value.clone();
    }
    let document = json!({
        "apiVersion": "weft.dev/v1alpha1",
        "kind": "Issuer",
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    });
    let parsed = weft_functions::parse(&[SourceFile::new("app.yaml", document.to_string())]).expect("a manifest");
    match parsed.into_iter().next() {
        Some(Any::Issuer(issuer)) => issuer,
        other => panic!("not an Issuer: {other:?}"),
    }
}

fn name(text: &str) -> Name {
    text.parse().expect("a name")
}

/// A verifier of Issuers with keys of their own.
fn verifier(clock: Arc<Stopped>, issuers: &[Resource]) -> Verifier {
    let verifier = Verifier::with(Box::new(|_, _| panic!("nothing is fetched")), clock);
    verifier.reconcile(issuers);
    verifier
}

/// Shows a token for a call to `namespace`, as bytes that need not be a header's.
fn shown(verifier: &Verifier, namespace: &str, token: &[u8]) -> Result<Arc<Token>, Reason> {
    let views = verifier.0.views.load();
    let view = views.of(&name(namespace)).expect("an Issuer counts");
    match verifier.0.verify(view, Showing { view: view.id, place: 0, token }) {
        Ok(Judged::Good(verified)) => Ok(verified.token.clone()),
        Ok(Judged::Wait(_)) => panic!("keys are waited for"),
        Err(refusal) => Err(Failure::from(refusal).reason),
    }
}

/// Sends a token as a client does.
async fn sent(verifier: &Verifier, namespace: &str, token: &[u8]) -> Result<Option<Arc<Token>>, Reason> {
    let mut headers = HeaderMap::new();
    let value = [b"Bearer ", token].concat();
    headers.insert("authorization", http::HeaderValue::from_bytes(&value).expect("a header's value"));
    let verified = match verifier.verify(&name(namespace), &headers) {
        Verification::Done(verified) => verified,
        Verification::Waiting(waiting) => waiting.await,
    };
    verified.map(|shown| shown.map(|shown| shown.token)).map_err(|failure| failure.reason)
}
