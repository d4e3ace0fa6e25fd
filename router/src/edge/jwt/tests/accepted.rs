//! Tokens that are taken: strictness that refuses these would be a fault, too.

use weft_functions::issuer::Algorithm;

use super::*;

fn all() -> Value {
    Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect()
}

#[test]
fn every_algorithm_with_a_key_of_its_kind() {
    let mint = Mint::new();
    let corp = issuer("corp", "default", ISS, json!({ "jwks": mint.jwks(), "algorithms": all() }));
    let verifier = verifier(Stopped::new(), &[corp]);
    for algorithm in Algorithm::ALL {
        let kid = match algorithm {
            Algorithm::Es256 => "p256",
            Algorithm::Es384 => "p384",
            Algorithm::EdDsa => "ed",
            _ => "rsa",
        };
        let header = json!({ "alg": algorithm.as_str(), "kid": kid }).to_string();
        let token = mint.token(algorithm.as_str(), &header, claims(json!({})).to_string());
        let token = shown(&verifier, "default", &token).unwrap_or_else(|reason| panic!("{algorithm}: {reason:?}"));
        assert_eq!(&*token.subject.text, "https://id.example/ann");
    }
}

#[test]
fn headers_that_change_nothing() {
    let mint = Mint::new();
    let verifier = verifier(Stopped::new(), &[issuer("corp", "default", ISS, json!({ "jwks": mint.jwks() }))]);
    for header in [
        r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#,
        r#"{"alg":"ES256","kid":"p256","typ":"jwt"}"#,
        r#"{"alg":"ES256","kid":"p256","typ":"JOSE"}"#,
        r#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","kid":"p256","typ":"application/at+jwt"}"#,
        r#"{ "kid" : "p256" , "alg" : "ES256" , "unknown" : { "a" : [ 1 ] } }"#,
        // None of these is ever followed: the verifier of this test panics when it fetches.
        r#"{"alg":"ES256","kid":"p256","jku":"https://evil.example/jwks"}"#,
        r#"{"alg":"ES256","kid":"p256","x5u":"http://169.254.169.254/latest/meta-data"}"#,
        r#"{"alg":"ES256","kid":"p256","x5c":["MIIB"],"x5t":"AA","x5t#S256":"AA"}"#,
        r#"{"alg":"ES256","kid":"p256","jwk":{"kty":"oct","k":"AA"}}"#,
    ] {
        let token = mint.token("ES256", header, claims(json!({})).to_string());
        assert!(shown(&verifier, "default", &token).is_ok(), "{header}");
    }
}

#[test]
fn claims_at_the_edge_of_what_is_allowed() {
    let mint = Mint::new();
    let verifier = verifier(Stopped::new(), &[issuer("corp", "default", ISS, json!({ "jwks": mint.jwks() }))]);
    for changes in [
        json!({ "aud": ["other", "loom"] }),
        json!({ "exp": NOW - 59 }),
        json!({ "exp": NOW as f64 + 0.5 }),
        json!({ "exp": 253_402_300_799_u64 }),
        json!({ "nbf": NOW + 60 }),
        json!({ "nbf": 0 }),
        json!({ "nbf": 1.5 }),
        json!({ "iat": NOW + 3600 }),
        json!({ "sub": "a".repeat(255) }),
        json!({ "sub": "repo:org/name:ref:refs/heads/main" }),
        json!({ "sub": "!#$%&'()*+,-./:;<=>?@[\\]^_`{|}~" }),
        json!({ "azp": "shop", "jti": "x", "role": ["clerk"], "deep": { "a": { "b": { "c": [1] } } } }),
    ] {
        assert!(shown(&verifier, "default", &mint.good(changes.clone())).is_ok(), "{changes}");
    }
}

#[test]
fn what_a_token_says_is_kept() {
    let mint = Mint::new();
    let more = json!({ "jwks": mint.jwks(), "passClaims": ["role"] });
    let verifier = verifier(Stopped::new(), &[issuer("corp", "shop", ISS, more)]);
    let changes = json!({ "aud": ["weft", "other"], "azp": "till", "role": "clerk", "exp": NOW as f64 + 7.9 });
    let token = shown(&verifier, "shop", &mint.good(changes.clone())).expect("a token");
    assert_eq!(&*token.subject.text, "https://id.example/ann");
    assert_eq!(token.subject.scope, Some(name("shop")));
    assert_eq!(token.audiences.iter().map(|audience| &**audience).collect::<Vec<_>>(), ["weft", "other"]);
    assert_eq!(token.presenter.as_deref(), Some("till"));
    assert_eq!(token.pass.iter().map(|claim| &**claim).collect::<Vec<_>>(), ["role"]);
    assert_eq!(token.expires, NOW + 7);
    assert_eq!(Value::Object(token.claims.clone()), claims(changes));
}

#[test]
fn a_token_need_not_name_the_only_key() {
    let mint = Mint::new();
    let mut jwks = mint.jwks();
    let unnamed = mint.token("ES256", r#"{"alg":"ES256"}"#, claims(json!({})).to_string());
    let several = issuer("corp", "default", ISS, json!({ "jwks": jwks }));
    assert_eq!(shown(&verifier(Stopped::new(), &[several]), "default", &unnamed).err(), Some(Reason::AuthnInvalid));
    jwks["keys"] = json!([jwks["keys"][1]]);
    let one = issuer("corp", "default", ISS, json!({ "jwks": jwks }));
    assert!(shown(&verifier(Stopped::new(), &[one]), "default", &unnamed).is_ok());
}
