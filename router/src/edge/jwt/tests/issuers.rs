//! Which Issuers count where, and how long what one of them vouched for is remembered.

use super::fetching::{Answer, Server};
use super::*;

/// A verifier whose Issuers with a `jwksUri` all ask `server`.
fn fetching(clock: Arc<Stopped>, server: &Server, issuers: &[Resource]) -> Verifier {
    let server = server.clone();
    let verifier = Verifier::with(Box::new(move |_, _| Box::new(server.clone())), clock);
    verifier.reconcile(issuers);
    verifier
}

fn at(uri: &str) -> Value {
    json!({ "jwksUri": uri })
}

#[test]
fn an_issuer_counts_in_its_namespace_and_the_systems_everywhere() {
    let (own, mesh) = (Mint::new(), Mint::new());
    let issuers = [
        issuer("corp", "shop", "https://shop.example", json!({ "jwks": own.jwks() })),
        issuer("corp", "weft-system", "https://mesh.example", json!({ "jwks": mesh.jwks() })),
    ];
    let verifier = verifier(Stopped::new(), &issuers);
    let own = own.good(json!({ "iss": "https://shop.example" }));
    let mesh = mesh.good(json!({ "iss": "https://mesh.example" }));
    for (namespace, token, expect) in [
        ("shop", &own, Some(Some(name("shop")))),
        ("shop", &mesh, Some(None)),
        ("default", &own, None),
        ("default", &mesh, Some(None)),
        ("weft-system", &own, None),
        ("weft-system", &mesh, Some(None)),
    ] {
        let found = shown(&verifier, namespace, token).map(|token| token.subject.scope.clone());
        assert_eq!(found, expect.ok_or(Reason::AuthnInvalid), "{namespace}");
    }
}

#[tokio::test]
async fn where_no_issuer_counts_a_token_is_not_ours() {
    let mint = Mint::new();
    let verifier = verifier(Stopped::new(), &[issuer("corp", "shop", ISS, json!({ "jwks": mint.jwks() }))]);
    for token in [mint.good(json!({})), b"anything".to_vec()] {
        assert_eq!(sent(&verifier, "default", &token).await, Ok(None));
    }
    assert_eq!(sent(&verifier, "shop", b"anything").await, Err(Reason::AuthnInvalid));
    assert!(sent(&verifier, "shop", &mint.good(json!({}))).await.is_ok_and(|token| token.is_some()));
    verifier.reconcile(&[]);
    assert_eq!(sent(&verifier, "shop", b"anything").await, Ok(None));
}

#[test]
fn a_header_is_read_only_by_the_issuers_that_name_it() {
    let (bearer, custom) = (Mint::new(), Mint::new());
    let from = json!({ "jwks": custom.jwks(), "fromHeaders": [{ "name": "x-token" }] });
    let issuers = [
        issuer("bearer", "default", "https://bearer.example", json!({ "jwks": bearer.jwks() })),
        issuer("custom", "default", "https://custom.example", from),
    ];
    let verifier = verifier(Stopped::new(), &issuers);
    let check = |header: &str, token: Vec<u8>, expect: Option<&str>| {
        let mut headers = HeaderMap::new();
        let prefix: &[u8] = if header == "authorization" { b"Bearer " } else { b"" };
        let value = http::HeaderValue::from_bytes(&[prefix, &token].concat()).expect("a value");
        headers.insert(header.parse::<http::HeaderName>().expect("a name"), value);
        let Verification::Done(verified) = verifier.verify(&name("default"), &headers) else { panic!("waiting") };
        let verified = verified.map(|shown| shown.map(|shown| shown.header.to_string())).ok().flatten();
        assert_eq!(verified.as_deref(), expect, "{header}");
    };
    let (bearer, custom) = (
        bearer.good(json!({ "iss": "https://bearer.example" })),
        custom.good(json!({ "iss": "https://custom.example" })),
    );
    check("authorization", bearer.clone(), Some("authorization"));
    check("x-token", custom.clone(), Some("x-token"));
    check("x-token", bearer, None);
    check("authorization", custom, None);
}

#[test]
fn of_issuers_with_one_name_any_may_vouch() {
    let (first, second, stranger) = (Mint::new(), Mint::new(), Mint::new());
    let issuers = [
        issuer("a", "default", ISS, json!({ "jwks": first.jwks(), "audiences": ["other"] })),
        issuer("b", "default", ISS, json!({ "jwks": second.jwks() })),
        issuer("c", "weft-system", ISS, json!({ "jwks": second.jwks() })),
    ];
    let verifier = verifier(Stopped::new(), &issuers);
    let scope = |token: &[u8]| shown(&verifier, "default", token).map(|token| token.subject.scope.clone());
    assert_eq!(scope(&first.good(json!({ "aud": "other" }))), Ok(Some(name("default"))));
    assert_eq!(scope(&second.good(json!({}))), Ok(None), "what the mesh vouches for counts in all of it");
    assert_eq!(scope(&first.good(json!({}))), Err(Reason::AuthnInvalid));
    assert_eq!(scope(&second.good(json!({ "exp": NOW - 100 }))), Err(Reason::AuthnExpired));
    assert_eq!(scope(&stranger.good(json!({}))), Err(Reason::AuthnInvalid));
}

#[test]
fn an_issuer_cannot_name_anothers_subjects() {
    let (short, long) = (Mint::new(), Mint::new());
    let issuers = [
        issuer("short", "default", "https://id.example", json!({ "jwks": short.jwks() })),
        issuer("long", "default", "https://id.example/team", json!({ "jwks": long.jwks() })),
    ];
    let verifier = verifier(Stopped::new(), &issuers);
    let subject = |mint: &Mint, iss: &str, sub: &str| {
        let token = shown(&verifier, "default", &mint.good(json!({ "iss": iss, "sub": sub })));
        token.map(|token| token.subject.text.to_string())
    };
    let (short_iss, long_iss) = ("https://id.example", "https://id.example/team");
    assert_eq!(subject(&short, short_iss, "ann").as_deref(), Ok("https://id.example/ann"));
    assert_eq!(subject(&short, short_iss, "teams/ann").as_deref(), Ok("https://id.example/teams/ann"));
    assert_eq!(subject(&long, long_iss, "ann").as_deref(), Ok("https://id.example/team/ann"));
    assert_eq!(subject(&short, short_iss, "team/ann"), Err(Reason::AuthnInvalid));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_verified_is_not_verified_again() {
    let (mint, clock) = (Mint::new(), Stopped::new());
    let server = Server::new(Answer::Keys(mint.jwks().to_string()));
    let corp = issuer("corp", "default", ISS, at("https://id.example/jwks"));
    let verifier = fetching(clock.clone(), &server, std::slice::from_ref(&corp));
    let good = mint.good(json!({}));
    let first = sent(&verifier, "default", &good).await.expect("a token").expect("a token");
    let again = || shown(&verifier, "default", &good).expect("a token");
    assert!(Arc::ptr_eq(&first, &again()), "the very same, without waiting");
    // Neither another Issuer nor the same again changes that.
    let other = issuer("other", "shop", ISS, json!({ "jwks": mint.jwks() }));
    verifier.reconcile(&[corp.clone(), other]);
    verifier.reconcile(&[corp]);
    assert!(Arc::ptr_eq(&first, &again()));
    assert_eq!(server.asked(), 1);
    clock.set(NOW + 600 + 59);
    assert!(Arc::ptr_eq(&first, &again()));
    clock.set(NOW + 600 + 60);
    assert_eq!(shown(&verifier, "default", &good).err(), Some(Reason::AuthnExpired));
}

#[test]
fn a_token_is_forgotten_when_its_issuer_changes() {
    let (mint, other) = (Mint::new(), Mint::new());
    let corp = |more: Value| issuer("corp", "default", ISS, more);
    let good = mint.good(json!({}));
    for (changed, expect) in [
        (corp(json!({ "jwks": mint.jwks(), "passClaims": ["role"] })), true),
        (corp(json!({ "jwks": mint.jwks(), "audiences": ["other"] })), false),
        (corp(json!({ "jwks": mint.jwks(), "algorithms": ["RS256"] })), false),
        (corp(json!({ "jwks": other.jwks() })), false),
        (issuer("corp", "default", "https://other.example", json!({ "jwks": mint.jwks() })), false),
    ] {
        let verifier = verifier(Stopped::new(), &[corp(json!({ "jwks": mint.jwks() }))]);
        let first = shown(&verifier, "default", &good).expect("a token");
        verifier.reconcile(std::slice::from_ref(&changed));
        let again = shown(&verifier, "default", &good);
        assert_eq!(again.is_ok(), expect, "{:?}", changed.spec);
        assert!(!again.is_ok_and(|again| Arc::ptr_eq(&first, &again)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_forgotten_when_its_key_leaves_or_grows_too_old() {
    let (mint, clock) = (Mint::new(), Stopped::new());
    let server = Server::new(Answer::Keys(mint.jwks().to_string()));
    let verifier = fetching(clock, &server, &[issuer("corp", "default", ISS, at("https://id.example/jwks"))]);
    let good = mint.good(json!({}));
    let other = mint.token("EdDSA", r#"{"alg":"EdDSA","kid":"ed"}"#, claims(json!({})).to_string());
    assert!(sent(&verifier, "default", &good).await.is_ok());
    assert!(sent(&verifier, "default", &other).await.is_ok());
    // `p256` is withdrawn; somebody asks for a key that is not there, so that it is noticed.
    let mut jwks = mint.jwks();
    jwks["keys"] = json!([jwks["keys"][3]]);
    server.answers(Answer::Keys(jwks.to_string()));
    let unknown = mint.token("EdDSA", r#"{"alg":"EdDSA","kid":"new"}"#, claims(json!({})).to_string());
    assert_eq!(sent(&verifier, "default", &unknown).await, Err(Reason::AuthnInvalid));
    assert_eq!(sent(&verifier, "default", &good).await, Err(Reason::AuthnInvalid));
    assert!(sent(&verifier, "default", &other).await.is_ok());
    // Nobody can be asked for longer than an hour.
    server.answers(Answer::Error);
    tokio::time::advance(std::time::Duration::from_secs(3_601)).await;
    assert_eq!(sent(&verifier, "default", &other).await, Err(Reason::AuthnUnavailable));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_is_down_harms_no_other() {
    let mint = Mint::new();
    let server = Server::new(Answer::Never);
    let issuers = [
        issuer("down", "default", "https://down.example", at("https://down.example/jwks")),
        issuer("up", "default", ISS, json!({ "jwks": mint.jwks() })),
        issuer("elsewhere", "shop", "https://down.example", json!({ "jwks": mint.jwks() })),
    ];
    let verifier = fetching(Stopped::new(), &server, &issuers);
    let down = mint.good(json!({ "iss": "https://down.example" }));
    let waiting = sent(&verifier, "default", &down);
    let others = async {
        for _ in 0..100 {
            assert!(shown(&verifier, "default", &mint.good(json!({}))).is_ok());
            assert!(shown(&verifier, "shop", &down).is_ok(), "the same words, said to somebody else");
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::join!(waiting, others).0, Err(Reason::AuthnUnavailable));
    assert_eq!(server.asked(), 1);
}
