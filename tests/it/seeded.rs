//! Seeded defects of identity and policy, D15 to D20: a check that holds on the binary as it is must fail on the one that
//! has the defect. A check that cannot fail proves nothing. (D2 is `crash`'s own.)

mod token;

use serde_json::{Value, json};
use weft_tests::modules::{self, DEFECT_VARIABLE, defective};
use weft_tests::node::Options;
use weft_tests::{Answer, Ask, Node, Project, manifest, raw};

use self::token::Signer;

/// Runs a check on the sound binary, where it must hold, and on the one with the defect, where it must not. A check gives
/// what is wrong, if something is.
async fn is_caught(defect: &str, manifests: &str, check: impl AsyncFn(&Node) -> Option<String>) {
    let project = Project::new(manifests);
    let node = project.start().await;
    assert_eq!(check(&node).await, None, "without {defect}");
    node.stop().await;
    let env = vec![(DEFECT_VARIABLE.to_owned(), defect.to_owned())];
    let options = Options { env, binary: Some(defective()), ..Options::default() };
    let node = project.start_with(options).await.unwrap_or_else(|failed| panic!("{failed}"));
    let wrong = check(&node).await;
    println!("{defect}: {wrong:?}");
    assert!(wrong.is_some(), "{defect} is not caught");
}

#[test]
fn the_binary_has_no_seeded_defects() {
    let has_defects = |binary: std::path::PathBuf| {
        let bytes = std::fs::read(&binary).unwrap();
        bytes.windows(DEFECT_VARIABLE.len()).any(|window| window == DEFECT_VARIABLE.as_bytes())
    };
    assert!(!has_defects(modules::weft()), "the binary knows {DEFECT_VARIABLE}: it was built with WEFT_DEFECTS=1");
    assert!(has_defects(defective()), "the binary with seeded defects does not know {DEFECT_VARIABLE}");
}

fn echo() -> String {
    manifest::function("echo", "echo", "")
}

fn to_echo(target: &str) -> Ask {
    Ask::get(target).host("echo.localhost")
}

/// What is wrong with an answer that should be refused by policy.
fn not_refused(answer: &Answer) -> Option<String> {
    (answer.code().as_deref() != Some("AUTHZ_DENIED")).then(|| format!("answered {} {}", answer.status, answer.text()))
}

#[tokio::test]
async fn d15_policy_on_another_path_than_the_one_that_is_routed() {
    let deny = "action: DENY, rules: [ { to: [ { operation: { paths: [ /admin ] } } ] } ]";
    is_caught("D15", &(echo() + &manifest::policy("no-admin", deny)), async |node| {
        assert_eq!(node.ask(to_echo("/")).await.status, 200);
        for path in ["/admin", "/%61dmin", "/adm%69n"] {
            if let Some(wrong) = not_refused(&node.ask(to_echo(path)).await) {
                return Some(format!("{path}: {wrong}"));
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn d16_a_header_rule_that_looks_at_the_first_value_only() {
    let deny = "action: DENY, rules: [ { when: [ { key: 'request.headers[x-role]', values: [ intern ] } ] } ]";
    is_caught("D16", &(echo() + &manifest::policy("no-interns", deny)), async |node| {
        assert_eq!(node.ask(to_echo("/").header("x-role", "clerk")).await.status, 200);
        for roles in [&["intern"][..], &["intern", "clerk"], &["clerk", "intern"], &["clerk, intern"]] {
            let ask = roles.iter().fold(to_echo("/"), |ask, role| ask.header("x-role", role));
            if let Some(wrong) = not_refused(&node.ask(ask).await) {
                return Some(format!("{roles:?}: {wrong}"));
            }
        }
        None
    })
    .await;
}

#[tokio::test]
async fn d17_an_identity_in_trailers() {
    let forged = ["x-weft-principal", "X-Weft-Origin", "x-forwarded-client-cert", "authorization"];
    is_caught("D17", &manifest::function("dialer", "dialer", ""), async |node| {
        let fields: String = forged.iter().map(|name| format!("{name}: forged\r\n")).collect();
        let request = format!(
            "POST /seen HTTP/1.1\r\nhost: dialer.localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
             2\r\nhi\r\n0\r\nx-checksum: 7\r\n{fields}\r\n"
        );
        let seen = raw::exchange(node.http, request.as_bytes()).await;
        assert!(seen.status() == Some(200) && seen.text().contains("x-checksum"), "no trailers: {}", seen.text());
        seen.text().contains("forged").then(|| format!("the function saw\n{}", seen.body()))
    })
    .await;
}

#[tokio::test]
async fn d18_an_identity_in_another_spelling() {
    let forged = ["X-Weft-Principal", "x.weft.principal", "X-WEFT.Origin", "x-forwarded.client-cert", "L5d.Client-Id"];
    is_caught("D18", &echo(), async |node| {
        let fields: String = forged.iter().map(|name| format!("{name}: forged\r\n")).collect();
        let request = format!("GET / HTTP/1.1\r\nhost: echo.localhost\r\nconnection: close\r\n{fields}\r\n");
        let seen = raw::exchange(node.http, request.as_bytes()).await;
        assert_eq!(seen.status(), Some(200), "{}", seen.text());
        seen.text().contains("forged").then(|| format!("the function saw\n{}", seen.body()))
    })
    .await;
}

/// A function that only bearers of a token reach, and the Issuer of these tokens.
fn behind_tokens(signer: &Signer) -> String {
    let spec = format!(
        "issuer: 'https://id.example', audiences: [ weft ], algorithms: [ RS256 ], jwks: {}",
        json!({ "keys": [signer.public_key()] })
    );
    let bearers = "rules: [ { from: [ { source: { requestPrincipals: [ 'https://id.example/*' ] } } ], \
                   to: [ { operation: { verbs: [ request ] } } ] } ]";
    echo() + &manifest::document("Issuer", "corp", &spec) + &manifest::policy("bearers", bearers)
}

fn claims(expires: &Value) -> Value {
    json!({ "iss": "https://id.example", "aud": "weft", "sub": "ann", "exp": expires })
}

/// The good token is taken, and each of the others is refused as invalid.
async fn wrongly_taken(node: &Node, good: &str, bad: &[(&str, String)]) -> Option<String> {
    let ask = async |token: &str| node.ask(to_echo("/").header("authorization", format!("Bearer {token}"))).await;
    let answer = ask(good).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (what, token) in bad {
        let answer = ask(token).await;
        if answer.code().as_deref() != Some("AUTHN_INVALID") {
            return Some(format!("{what}: answered {} {}", answer.status, answer.text()));
        }
    }
    None
}

/// The end of the year 2099.
const FAR: u64 = 4_102_444_800;

#[tokio::test]
async fn d19_a_token_that_chooses_its_own_algorithm() {
    let signer = Signer::new();
    let claims = claims(&FAR.into());
    let good = signer.token("RS256", &claims);
    let bad = ["RS512", "PS256", "HS256", "none"].map(|algorithm| (algorithm, signer.token(algorithm, &claims)));
    is_caught("D19", &behind_tokens(&signer), async |node| wrongly_taken(node, &good, &bad).await).await;
}

#[tokio::test]
async fn d20_a_token_whose_end_is_no_number() {
    let signer = Signer::new();
    let token = |expires: Value| signer.token("RS256", &claims(&expires));
    let good = token(FAR.into());
    let bad = [
        ("text", token(FAR.to_string().into())),
        ("past as text", token("1000000000".into())),
        ("list", token(json!([FAR]))),
        ("null", token(Value::Null)),
        ("true", token(true.into())),
    ];
    is_caught("D20", &behind_tokens(&signer), async |node| wrongly_taken(node, &good, &bad).await).await;
}
