//! Tokens of a real issuer, npm's oauth2-mock-server: taken and refused, while its keys change, and while it is down
//! (threats D-05 to D-07).

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use weft_tests::child::Process;
use weft_tests::{Answer, Ask, Node, Project, client, eventually, manifest};

/// The issuer as a process, with its remote control.
struct Issuer {
    process: Process,
    address: SocketAddr,
}

impl Issuer {
    /// Starts one that publishes these keys.
    async fn start(kids: &str) -> Self {
        let Some(library) = std::env::var_os("WEFT_NODE_PATH") else {
            panic!("WEFT_NODE_PATH does not say where oauth2-mock-server is: run tests/run")
        };
        let mut command = Command::new("node");
        command.arg(weft_tests::modules::root().join("tests/it/jwt/issuer.mjs")).env("NODE_PATH", library);
        let mut process = Process::spawn(command);
        let port = eventually("the issuer's port", async || {
            assert_eq!(process.ended(), None, "{}", process.stderr.text());
            process.stdout.text().lines().next().and_then(|line| line.parse::<u16>().ok())
        });
        let address = SocketAddr::from(([127, 0, 0, 1], port.await));
        let issuer = Self { process, address };
        issuer.publish(kids).await;
        issuer
    }

    async fn control(&self, ask: Ask) -> String {
        let answer = client::send(self.address, ask.host("issuer")).await.expect("an answer of the issuer");
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.process.stderr.text());
        answer.text()
    }

    async fn publish(&self, kids: &str) {
        self.control(Ask::post(format!("/control/publish?kids={kids}"))).await;
    }

    /// Breaks off requests for keys, or answers them again.
    async fn down(&self, down: bool) {
        self.control(Ask::post(if down { "/control/down" } else { "/control/up" })).await;
    }

    /// A token signed with `key` whose header names `kid`; `claims` beside the usual ones or instead of them.
    async fn token(&self, key: &str, kid: &str, claims: Value) -> String {
        let mut all = json!({ "aud": "weft", "sub": "ann" });
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        self.control(Ask::post(format!("/control/token?key={key}&kid={kid}")).json(&all)).await
    }

    async fn fetches(&self) -> usize {
        self.control(Ask::get("/control/fetches")).await.parse().expect("a number")
    }

    /// The resource for it.
    fn resource(&self, name: &str, more: &str) -> String {
        let url = format!("http://{}", self.address);
        let keys = format!("jwksUri: '{url}/jwks', allowPrivate: true");
        manifest::document(
            "Issuer",
            name,
            &format!("issuer: '{url}', audiences: [ weft ], {keys}, passClaims: [ role ]{more}"),
        )
    }
}

async fn ask(node: &Node, token: &str) -> Answer {
    let ask = Ask::get("/").host("echo.localhost").header("authorization", format!("Bearer {token}"));
    node.ask(ask).await
}

fn refusal(answer: &Answer) -> (u16, Option<String>) {
    (answer.status, answer.code())
}

fn refused(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

#[tokio::test]
async fn a_real_issuers_token_is_taken_and_nothing_like_it() {
    let issuer = Issuer::start("a").await;
    let project = Project::new(&(manifest::function("echo", "echo", "") + &issuer.resource("corp", "")));
    let node = project.start().await;
    let good = issuer.token("a", "a", json!({ "role": "clerk" })).await;
    for _ in 0..3 {
        let answer = ask(&node, &good).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        // A token is for the mesh, not for functions, but for the claims that the Issuer passes on.
        let headers = answer.json()["headers"].clone();
        let headers: Vec<(String, String)> = serde_json::from_value(headers).expect("pairs");
        let value = |name: &str| headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
        assert_eq!((value("authorization"), value("x-weft-claim-role")), (None, Some("clerk")), "{headers:?}");
    }
    let (rest, signature) = good.rsplit_once('.').unwrap();
    let (header, payload) = rest.split_once('.').unwrap();
    let other = issuer.token("a", "a", json!({ "sub": "root" })).await;
    let other_payload = other.split('.').nth(1).unwrap();
    let reversed: String = signature.chars().rev().collect();
    for (what, token, code) in [
        ("another's claims", format!("{header}.{other_payload}.{signature}"), "AUTHN_INVALID"),
        ("another signature", format!("{header}.{payload}.{reversed}"), "AUTHN_INVALID"),
        ("no signature", format!("{header}.{payload}."), "AUTHN_INVALID"),
        ("no token", "nothing".to_owned(), "AUTHN_INVALID"),
        ("for somebody else", issuer.token("a", "a", json!({ "aud": "other" })).await, "AUTHN_INVALID"),
        ("by somebody else", issuer.token("a", "a", json!({ "iss": "https://other" })).await, "AUTHN_INVALID"),
        ("too early", issuer.token("a", "a", json!({ "nbf": 9_999_999_999_u64 })).await, "AUTHN_INVALID"),
        ("too late", issuer.token("a", "a", json!({ "exp": 1_000_000_000 })).await, "AUTHN_EXPIRED"),
    ] {
        let answer = ask(&node, &token).await;
        assert_eq!(refusal(&answer), refused(401, code), "{what}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
    }
    // Without a token there is nothing to refuse.
    assert_eq!(node.get("echo", "/").await.status, 200);
    assert_eq!(issuer.fetches().await, 1);
    // Two tokens are none, and in a query there is none.
    let twice = Ask::get("/").host("echo.localhost").header("authorization", format!("Bearer {good}"));
    let twice = twice.header("authorization", format!("Bearer {good}"));
    assert_eq!(refusal(&node.ask(twice).await).0 / 100, 4);
    assert_eq!(node.get("echo", "/?access_token=nothing").await.status, 200);
    // Without an Issuer the header is the function's own business.
    project.write("app.yaml", manifest::function("echo", "echo", ""));
    eventually("the token reaches the function", async || ask(&node, &good).await.text().contains(&good).then_some(()))
        .await;
}

#[tokio::test]
async fn keys_change_without_a_false_refusal() {
    let issuer = Issuer::start("a").await;
    let project = Project::new(&(manifest::function("echo", "echo", "") + &issuer.resource("corp", "")));
    let node = project.start().await;
    let first = issuer.token("a", "a", json!({})).await;
    assert_eq!(ask(&node, &first).await.status, 200);
    issuer.publish("a,b").await;
    for round in 0..50 {
        // New tokens, so that none of them was verified before.
        for key in ["a", "b"] {
            let token = issuer.token(key, key, json!({ "jti": round })).await;
            let answer = ask(&node, &token).await;
            assert_eq!(answer.status, 200, "{key} in round {round}: {}", answer.text());
        }
    }
    assert_eq!(issuer.fetches().await, 2);
}

#[tokio::test]
async fn unknown_keys_are_asked_for_seldom() {
    let issuer = Issuer::start("a").await;
    let project = Project::new(&(manifest::function("echo", "echo", "") + &issuer.resource("corp", "")));
    let node = project.start().await;
    for number in 0..300 {
        let token = issuer.token("a", &format!("random-{number}"), json!({})).await;
        assert_eq!(refusal(&ask(&node, &token).await), refused(401, "AUTHN_INVALID"), "{number}");
    }
    let fetches = issuer.fetches().await;
    assert!(fetches <= 3, "{fetches} fetches");
    let good = issuer.token("a", "a", json!({})).await;
    assert_eq!(ask(&node, &good).await.status, 200);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_believed_for_a_while_and_harms_no_other() {
    let (issuer, other) = (Issuer::start("a").await, Issuer::start("a").await);
    other.down(true).await;
    let resources = issuer.resource("corp", "") + &other.resource("other", "");
    let project = Project::new(&(manifest::function("echo", "echo", "") + &resources));
    let node = project.start().await;
    // Nobody has ever seen this one's keys.
    let unseen = other.token("a", "a", json!({})).await;
    let answer = ask(&node, &unseen).await;
    assert_eq!(refusal(&answer), refused(503, "AUTHN_UNAVAILABLE"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(ask(&node, &issuer.token("a", "a", json!({})).await).await.status, 200);
    issuer.down(true).await;
    for round in 0..5 {
        let token = issuer.token("a", "a", json!({ "jti": round })).await;
        assert_eq!(ask(&node, &token).await.status, 200, "round {round}");
    }
    // Whether its key is there by now, nobody can say.
    issuer.publish("a,b").await;
    let unknown = issuer.token("b", "b", json!({})).await;
    assert_eq!(refusal(&ask(&node, &unknown).await), refused(503, "AUTHN_UNAVAILABLE"));
    // It comes back by itself.
    other.down(false).await;
    eventually("the other issuer is believed", async || (ask(&node, &unseen).await.status == 200).then_some(())).await;
}
