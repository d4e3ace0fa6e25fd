//! Tokens signed by `openssl` with an RSA key: good ones, and ones whose header says what no issuer would.

use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use weft_tests::workload::run;

/// An issuer's key.
pub(super) struct Signer {
    home: TempDir,
}

impl Signer {
    /// Makes an RSA key of 2,048 bits.
    pub(super) fn new() -> Self {
        let signer = Self { home: tempfile::tempdir().expect("a temporary folder") };
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out"]).arg(signer.key());
        run(openssl);
        signer
    }

    fn key(&self) -> PathBuf {
        self.home.path().join("key.pem")
    }

    /// The public key as a JWK; it does not say for which algorithm it is.
    pub(super) fn public_key(&self) -> Value {
        let mut openssl = Command::new("openssl");
        openssl.args(["rsa", "-noout", "-modulus", "-in"]).arg(self.key());
        let said = String::from_utf8(run(openssl)).expect("text");
        let hex = said.trim().strip_prefix("Modulus=").expect("a modulus");
        let octet = |place: usize| u8::from_str_radix(&hex[place..place + 2], 16).expect("hex digits");
        let modulus: Vec<u8> = (0..hex.len()).step_by(2).map(octet).collect();
        // 65537, as openssl's keys have it.
        json!({ "kty": "RSA", "kid": "k", "n": URL_SAFE_NO_PAD.encode(modulus), "e": "AQAB" })
    }

    /// A token with these claims whose header names the algorithm, and which is signed with it as far as the key can be.
    pub(super) fn token(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({ "alg": algorithm, "kid": "k", "typ": "JWT" });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(algorithm, &signed).unwrap_or_default();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// RFC 7518, section 3; `HS256` with the public key as its secret is the classic confusion.
    fn sign(&self, algorithm: &str, text: &str) -> Option<Vec<u8>> {
        let input = self.home.path().join("input");
        std::fs::write(&input, text).expect("what is signed");
        let mut openssl = Command::new("openssl");
        openssl.arg("dgst");
        match algorithm {
            "RS256" => openssl.args(["-sha256", "-sign"]).arg(self.key()),
            "RS512" => openssl.args(["-sha512", "-sign"]).arg(self.key()),
            "PS256" => openssl
                .args(["-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sign"])
                .arg(self.key()),
            "HS256" => openssl.args(["-sha256", "-mac", "HMAC", "-macopt"]).arg(format!("hexkey:{}", self.secret())),
            _ => return None,
        };
        openssl.arg("-binary").arg(input);
        Some(run(openssl))
    }

    /// The public key in PEM, which everybody has, as hex digits.
    fn secret(&self) -> String {
        let mut openssl = Command::new("openssl");
        openssl.args(["pkey", "-pubout", "-in"]).arg(self.key());
        run(openssl).iter().map(|octet| format!("{octet:02x}")).collect()
    }
}
