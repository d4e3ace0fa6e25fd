//! D-01: algorithms and signatures.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

use super::*;

/// D-01: the algorithm is the key's.
#[test]
fn the_header_does_not_choose_the_algorithm() {
    let mut bench = Bench::new();
    let names = [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "ES512", "ES224", "es256", "ES256 ",
        "RS1", "PS257", "RSA-OAEP", "RSA1_5", "A256KW", "A256GCM", "dir", "ECDH-ES", "EdDsa", "Ed25519", "Ed448",
    ];
    for algorithm in
        names.map(|name| json!(name)).into_iter().chain([json!(["ES256"]), json!(null), json!(1), json!({})])
    {
        let header = json!({ "alg": algorithm, "kid": "p256" }).to_string();
        bench.header(&header);
        bench.signature(&format!("{header} without a signature"), &header, b"");
    }
    bench.header(r#"{"kid":"p256"}"#);
    // Keys of another kind, and algorithms that the Issuer does not allow.
    for (algorithm, kid) in [
        ("ES256", "rsa"),
        ("ES256", "ed"),
        ("ES256", "p384"),
        ("RS256", "p256"),
        ("RS256", "ed"),
        ("EdDSA", "p256"),
        ("EdDSA", "rsa"),
        ("ES384", "p384"),
        ("ES384", "p256"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("PS384", "rsa"),
        ("PS512", "rsa"),
    ] {
        let header = json!({ "alg": algorithm, "kid": kid }).to_string();
        let token = bench.mint.token(algorithm, &header, claims(json!({})).to_string());
        bench.refuse(&header, &token);
    }
    bench.done(60);
}

/// D-01: a public key is not a secret.
#[test]
fn a_public_key_does_not_sign() {
    let mut bench = Bench::new();
    let jwks = bench.mint.jwks();
    let secrets = [
        bench.mint.modulus(),
        bench.mint.rsa.public_key().as_ref().to_vec(),
        bench.mint.p256.public_key().as_ref().to_vec(),
        jwks["keys"][0].to_string().into_bytes(),
        jwks["keys"][0]["n"].as_str().expect("a text").as_bytes().to_vec(),
        Vec::new(),
    ];
    for secret in secrets {
        for kid in ["rsa", "p256"] {
            let header = json!({ "alg": "HS256", "kid": kid }).to_string();
            let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            let tag = hmac::sign(&key, signed(&header).as_bytes());
            bench.signature(&format!("HMAC with {} public bytes as {kid}", secret.len()), &header, tag.as_ref());
            // The same under a name that the key takes.
            bench.signature("HMAC as ES256", HEADER, tag.as_ref());
        }
    }
    bench.done(24);
}

/// D-01: a signature has one length and one form.
#[test]
fn almost_an_ecdsa_signature_is_none() {
    let mut bench = Bench::new();
    let good = bench.mint.sign("ES256", signed(HEADER).as_bytes());
    let (r, s) = good.split_at(32);
    let order: Vec<u8> = (0..64)
        .step_by(2)
        .map(|at| "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551".get(at..at + 2).expect("hex"))
        .map(|byte| u8::from_str_radix(byte, 16).expect("hex"))
        .collect();
    let der = {
        let pkcs8 = bench.mint.p256.to_pkcs8v1().expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8.as_ref()).expect("a key");
        key.sign(&SystemRandom::new(), signed(HEADER).as_bytes()).expect("a signature").as_ref().to_vec()
    };
    let zeros = [0_u8; 32];
    for (what, signature) in [
        ("r = s = 0", vec![0; 64]),
        ("r = 0", [&zeros, s].concat()),
        ("s = 0", [r, &zeros].concat()),
        ("all ones", vec![0xff; 64]),
        ("r = n", [&order, s].concat()),
        ("s = n", [r, &order].concat()),
        ("r = s = n", [&*order, &order].concat()),
        ("halves swapped", [s, r].concat()),
        ("one byte less", good[..63].to_vec()),
        ("first byte off", good[1..].to_vec()),
        ("one byte more", [&*good, &[0]].concat()),
        ("a zero before", [&[0], &*good].concat()),
        ("zeros before both halves", [&[0], r, &[0], s].concat()),
        ("twice", [&*good, &good].concat()),
        ("DER", der),
        ("one half", r.to_vec()),
        ("nothing", Vec::new()),
        ("one bit of r", flipped(&good, 0)),
        ("one bit of s", flipped(&good, 63)),
    ] {
        bench.signature(what, HEADER, &signature);
    }
    bench.done(19);
}

#[test]
fn almost_an_rsa_signature_is_none() {
    let mut bench = Bench::new();
    let header = r#"{"alg":"RS256","kid":"rsa"}"#;
    let good = bench.mint.sign("RS256", signed(header).as_bytes());
    let modulus = bench.mint.modulus();
    for (what, signature) in [
        ("zeros", vec![0; 256]),
        ("one", [vec![0; 255], vec![1]].concat()),
        ("ones", vec![0xff; 256]),
        ("the modulus", modulus),
        ("one byte less", good[..255].to_vec()),
        ("one byte more", [&*good, &[0]].concat()),
        ("a zero before", [&[0], &*good].concat()),
        ("nothing", Vec::new()),
        ("one bit", flipped(&good, 128)),
        ("PSS", bench.mint.sign("PS256", signed(header).as_bytes())),
        ("SHA-384", bench.mint.sign("RS384", signed(header).as_bytes())),
        ("SHA-512", bench.mint.sign("RS512", signed(header).as_bytes())),
        ("of something else", bench.mint.sign("RS256", b"something else")),
    ] {
        bench.signature(what, header, &signature);
    }
    bench.done(13);
}

#[test]
fn almost_an_ed25519_signature_is_none() {
    let mut bench = Bench::new();
    let header = r#"{"alg":"EdDSA","kid":"ed"}"#;
    let good = bench.mint.sign("EdDSA", signed(header).as_bytes());
    for (what, signature) in [
        ("zeros", vec![0; 64]),
        ("ones", vec![0xff; 64]),
        ("one byte less", good[..63].to_vec()),
        ("one byte more", [&*good, &[0]].concat()),
        ("one bit of R", flipped(&good, 1)),
        ("one bit of S", flipped(&good, 40)),
        ("S beyond the order", flipped(&good, 63)),
    ] {
        bench.signature(what, header, &signature);
    }
    bench.done(7);
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= if at == 63 { 0x80 } else { 1 };
    bytes
}
