//! Key sets: what of one can be used, and which are none at all.

use weft_functions::issuer::Algorithm;

use super::super::keys::KeySet;
use super::*;

fn parse(set: &Value) -> Result<KeySet, String> {
    KeySet::parse(set.to_string().as_bytes(), &Algorithm::ALL)
}

#[test]
fn a_key_that_cannot_be_used_does_not_spoil_the_others() {
    let mint = Mint::new();
    let jwks = mint.jwks();
    let key = |index: usize, changes: Value| {
        let mut key = jwks["keys"][index].clone();
        for (name, value) in changes.as_object().expect("an object") {
            match value {
                Value::Null => drop(key.as_object_mut().expect("an object").remove(name)),
                value => key[name] = value.clone(),
            }
        }
        key
    };
    let bits = |bytes: usize, first: u8| {
        let mut n = vec![0xff; bytes];
        n[0] = first;
        encode(n)
    };
    let (rsa, p256, p384, ed) = (0, 1, 2, 3);
    for (bad, expect) in [
        (json!(1), "not an object"),
        (json!({}), "of a kind that is not taken"),
        (json!({ "kty": "oct", "kid": "x", "k": "AA" }), "`k`, which is secret"),
        (json!({ "kty": "oct", "kid": "x" }), "a shared secret"),
        (key(p256, json!({ "d": "AA" })), "`d`, which is secret"),
        (key(rsa, json!({ "p": "AA" })), "`p`, which is secret"),
        (key(rsa, json!({ "use": "enc" })), "not for signatures"),
        (key(rsa, json!({ "use": ["sig"] })), "not for signatures"),
        (key(p256, json!({ "key_ops": ["encrypt"] })), "not for verifying"),
        (key(p256, json!({ "key_ops": "verify" })), "not for verifying"),
        (key(p256, json!({ "alg": "ES384" })), "not one of its kind"),
        (key(p256, json!({ "alg": "HS256" })), "not one of its kind"),
        (key(p256, json!({ "alg": "RS256" })), "not one of its kind"),
        (key(p256, json!({ "alg": 256 })), "not one of its kind"),
        (key(rsa, json!({ "alg": "RSA-OAEP" })), "not one of its kind"),
        (key(rsa, json!({ "alg": "ES256" })), "not one of its kind"),
        (key(ed, json!({ "alg": "ES256" })), "not one of its kind"),
        (key(rsa, json!({ "kid": 1 })), "has a `kid` that is not a text"),
        (key(rsa, json!({ "kid": "k".repeat(257) })), "has a `kid` that is not a text"),
        (key(rsa, json!({ "n": null })), "lacks the text `n`"),
        (key(rsa, json!({ "n": 1 })), "lacks the text `n`"),
        (key(rsa, json!({ "n": "a=" })), "not base64url"),
        (key(rsa, json!({ "n": "" })), "begins with zeros or is empty"),
        (key(rsa, json!({ "n": encode([vec![0], mint.modulus()].concat()) })), "begins with zeros"),
        (key(rsa, json!({ "n": bits(128, 0xff) })), "has 1024 bits"),
        (key(rsa, json!({ "n": bits(256, 0x7f) })), "has 2047 bits"),
        (key(rsa, json!({ "n": bits(1025, 0x01) })), "has 8193 bits"),
        (key(rsa, json!({ "e": "AQ" })), "has an exponent"),
        (key(rsa, json!({ "e": "AA" })), "begins with zeros"),
        (key(rsa, json!({ "e": "AAEAAQ" })), "begins with zeros"),
        (key(rsa, json!({ "e": "BA" })), "has an exponent"),
        (key(rsa, json!({ "e": "AQAAAAE" })), "has an exponent"),
        (key(p256, json!({ "crv": "P-384" })), "not of 48 bytes"),
        (key(p256, json!({ "crv": "P-521" })), "of a kind that is not taken"),
        (key(p256, json!({ "crv": "secp256k1" })), "of a kind that is not taken"),
        (key(p256, json!({ "kty": "OKP" })), "of a kind that is not taken"),
        (key(p256, json!({ "kty": "RSA" })), "lacks the text `n`"),
        (key(p256, json!({ "x": encode([0; 32]) })), "not a key of its kind"),
        (key(p256, json!({ "x": encode([1; 31]) })), "not of 32 bytes"),
        (key(p256, json!({ "x": encode([1; 33]) })), "not of 32 bytes"),
        (key(p256, json!({ "y": jwks["keys"][p256]["x"] })), "not a key of its kind"),
        (key(p384, json!({ "crv": "P-256", "alg": null })), "not of 32 bytes"),
        (key(ed, json!({ "crv": "Ed448" })), "of a kind that is not taken"),
        (key(ed, json!({ "crv": "X25519" })), "of a kind that is not taken"),
        (key(ed, json!({ "x": encode([1; 31]) })), "not of 32 bytes"),
    ] {
        let set = parse(&json!({ "keys": [bad, key(p256, json!({ "kid": "beside" }))] })).expect("a set");
        assert_eq!(set.len(), 1, "{bad}");
        assert!(set.find(Some("beside")).is_some(), "{bad}");
        assert!(set.left_out[0].contains(expect), "{bad}: {:?}", set.left_out);
    }
}

#[test]
fn an_id_of_two_keys_is_nobodys() {
    let jwks = Mint::new().jwks();
    let key = |index: usize, kid: &str| {
        let mut key = jwks["keys"][index].clone();
        key["kid"] = json!(kid);
        key
    };
    let set = parse(&json!({ "keys": [key(1, "a"), key(0, "a"), key(3, "b")] })).expect("a set");
    assert!(set.find(Some("a")).is_none() && set.find(Some("b")).is_some());
    assert!(set.left_out[0].contains("several keys"), "{:?}", set.left_out);
}

#[test]
fn what_is_no_key_set() {
    let key = Mint::new().jwks()["keys"][1].clone();
    let many = |count: usize| {
        let named = |index: usize| {
            let mut key = key.clone();
            key["kid"] = json!(index.to_string());
            key
        };
        json!({ "keys": (0..count).map(named).collect::<Vec<_>>() })
    };
    assert_eq!(parse(&many(64)).expect("a set").len(), 64);
    assert_eq!(parse(&json!({ "keys": [] })).expect("a set").len(), 0);
    for (text, expect) in [
        (many(65).to_string(), "65 keys"),
        (many(100_000).to_string(), "longer than"),
        (format!("{}{}", many(1), " ".repeat(256 * 1024)), "longer than"),
        ("<html>not found</html>".into(), "cannot be read"),
        (String::new(), "cannot be read"),
        ("[]".into(), "cannot be read"),
        ("{}".into(), "no list `keys`"),
        (r#"{"keys":{}}"#.into(), "no list `keys`"),
        (r#"{"keys":null}"#.into(), "no list `keys`"),
        (format!(r#"{{"keys":[],"keys":[{key}]}}"#), "twice"),
        (format!(r#"{{"keys":[{}]}}"#, key.to_string().replacen('{', r#"{"kid":"x","#, 1)), "twice"),
        (format!(r#"{{"keys":[{}{}]}}"#, "[".repeat(100), "]".repeat(100)), "too deeply"),
        (format!("{}x", many(1)), "cannot be read"),
    ] {
        let error = KeySet::parse(text.as_bytes(), &Algorithm::ALL).err().unwrap_or_else(|| panic!("{text:.100}"));
        assert!(error.contains(expect), "{text:.100}: {error}");
    }
}

#[test]
fn keys_that_stay_are_the_same_and_keys_that_leave_are_gone() {
    let (old, other) = (Mint::new().jwks(), Mint::new().jwks());
    let before = parse(&old).expect("a set");
    let key = |set: &KeySet, kid: &str| set.find(Some(kid)).expect("a key").clone();
    let (rsa, p256, ed) = (key(&before, "rsa"), key(&before, "p256"), key(&before, "ed"));
    // `rsa` stays, `p256` keeps its id and is another key, the others leave.
    let mut after = parse(&json!({ "keys": [old["keys"][0], other["keys"][1]] })).expect("a set");
    after.succeed(&before);
    assert!(Arc::ptr_eq(&rsa, &key(&after, "rsa")) && rsa.is_live());
    assert!(!Arc::ptr_eq(&p256, &key(&after, "p256")));
    assert!(!p256.is_live() && !ed.is_live() && key(&after, "p256").is_live());
}
