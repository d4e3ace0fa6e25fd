//! The example `deputy` does what its comments say: the confused deputy is refused, because the policy names the origin;
//! over an event and over a request.

use serde_json::Value;
use weft_tests::cli::Run;
use weft_tests::{Served, Sink, Site, eventually, modules};

const VISITOR: &str = "spiffe://weft.local/ns/default/sa/visitor";
const CLERK: &str = "spiffe://weft.local/ns/default/sa/clerk";
const CASHIER: &str = "spiffe://weft.local/ns/default/fn/cashier";

/// The line of the example that everything hangs on.
const ORIGINS: &str = "            origins: [ spiffe://weft.local/ns/default/sa/clerk ]\n";

/// The example with its bank where the sink is.
fn app(bank: &Sink) -> String {
    let path = modules::root().join("examples/deputy/app.yaml");
    let text = std::fs::read_to_string(&path).expect("the example");
    let address = bank.url("").replace("http://", "");
    let placed = text.replace("127.0.0.1:9100", &address).replace("../wasm/", "./");
    assert_eq!(placed.matches(&address).count(), 2, "the example names its bank twice");
    assert!(placed.contains(ORIGINS), "the example names the origin");
    placed
}

async fn start(site: &Site, text: &str) -> Served {
    site.guest("cashier");
    for name in ["clerk", "visitor", "stranger"] {
        site.issue(name).await;
    }
    let node = site.start("").await;
    node.apply(text).await;
    node
}

/// Asks for a payout as somebody, with `words` and what goes with every such command.
async fn ask(node: &Served, who: &str, words: &[&str], amount: u32) -> Run {
    let data = format!(r#"{{"to": "{who}", "amount": {amount}}}"#);
    let (cert, key) = (format!("{who}.crt"), format!("{who}.key"));
    node.weft(&[words, &["-d", &data, "--cert", &cert, "--key", &key]].concat()).await
}

const BY_EVENT: [&str; 4] = ["publish", "payouts", "--type", "payout.requested"];
const BY_REQUEST: [&str; 6] = ["invoke", "cashier", "/payouts", "-X", "POST", "-i"];

/// Waits until the log has so many lines with every one of `words`, and gives the last.
async fn logged(node: &Served, words: &[&str], count: usize) -> String {
    eventually(&format!("{count} lines of the log with {words:?}"), async || {
        let log = node.log();
        let lines: Vec<_> = log.lines().filter(|line| words.iter().all(|word| line.contains(word))).collect();
        (lines.len() == count).then(|| lines[count - 1].to_owned())
    })
    .await
}

/// What `weft explain` says of the latest of so many calls out of the mesh that were refused.
async fn explained(node: &Served, refused: usize) -> Value {
    let line = logged(node, &["weft::refused", "verb=\"egress\"", "target=\"cashier\""], refused).await;
    let id = line.split("decision=").nth(1).and_then(|rest| rest.split(' ').next()).expect("a decision's id");
    node.weft(&["explain", id, "-o", "json"]).await.ok().json()
}

/// The cashier called, the visitor began it, and the one policy that might have allowed it wants another origin.
fn is_refused_for_its_origin(explained: &Value) {
    let identity = &explained["identity"];
    assert_eq!(
        (&explained["verb"], &explained["verdict"], &explained["code"]),
        (&"egress".into(), &"deny".into(), &"AUTHZ_NO_ALLOW".into()),
        "{explained:#}"
    );
    assert_eq!((&identity["peer"], &identity["origin"]), (&CASHIER.into(), &VISITOR.into()), "{explained:#}");
    let target = explained["asked"]["target"].as_str().expect("a target");
    assert_eq!(explained["why"], format!("no policy allows {CASHIER} to egress {target}"), "{explained:#}");
    let steps = explained["policy"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["policy"] == "default/cashier-pays-for-the-clerk").expect("the policy");
    let (why, source) = (step["why"].as_str().unwrap_or_default(), step["source"].as_str().unwrap_or_default());
    assert!(step["match"] == false && why.contains("origins"), "{step}");
    assert!(source.starts_with("app.yaml:"), "{step}");
}

#[tokio::test]
async fn a_weak_publisher_makes_the_cashier_ask_and_the_bank_hears_nothing() {
    let (site, bank) = (Site::new().await, Sink::start().await);
    let node = start(&site, &app(&bank)).await;
    ask(&node, "visitor", &BY_EVENT, 9000).await.ok();
    assert_eq!(ask(&node, "stranger", &BY_EVENT, 1).await.code, 1, "others may not even ask");
    // The cashier ran for the visitor, and was refused on its way out: not for what it is, but for who began.
    logged(&node, &["weft::guest", VISITOR, "9000"], 1).await;
    is_refused_for_its_origin(&explained(&node, 1).await);
    eventually("the dead event", async || {
        let trigger = node.weft(&["get", "trigger", "pay", "-o", "json"]).await.ok().json();
        (trigger["status"]["dead"] == 1).then_some(())
    })
    .await;
    assert!(bank.deliveries().is_empty(), "the bank heard of the visitor");

    // The same function, the same address, the same policy: for the clerk it pays.
    ask(&node, "clerk", &BY_EVENT, 12).await.ok();
    let paid = &bank.received(1).await[0];
    assert_eq!((paid.target.as_str(), paid.json()["to"].as_str()), ("/payouts", Some("clerk")));
    assert!(paid.headers.keys().all(|name| !name.as_str().starts_with("x-weft-")), "{paid:?}");
    node.stop().await;
}

#[tokio::test]
async fn a_weak_caller_makes_the_cashier_ask_and_the_bank_hears_nothing() {
    let (site, bank) = (Site::new().await, Sink::start().await);
    let node = start(&site, &app(&bank)).await;
    let answer = ask(&node, "visitor", &BY_REQUEST, 9000).await;
    assert!(answer.code == 1 && format!("{answer:?}").contains("502"), "{answer:?}");
    logged(&node, &["weft::guest", VISITOR, "9000"], 1).await;
    is_refused_for_its_origin(&explained(&node, 1).await);
    let stranger = ask(&node, "stranger", &BY_REQUEST, 1).await;
    assert!(stranger.code == 1 && format!("{stranger:?}").contains("AUTHZ_DENIED"), "{stranger:?}");
    assert!(bank.deliveries().is_empty(), "the bank heard of somebody");

    let answer = ask(&node, "clerk", &BY_REQUEST, 12).await.ok();
    assert!(answer.stdout.contains("paid"), "{answer:?}");
    assert_eq!(bank.received(1).await[0].json()["to"], "clerk");
    logged(&node, &["weft::guest", CLERK, "12"], 1).await;
    node.stop().await;
}

/// What the line is there for: a policy that names the principal alone lets the visitor through.
#[tokio::test]
async fn without_the_origin_the_deputy_is_confused() {
    let (site, bank) = (Site::new().await, Sink::start().await);
    let node = start(&site, &app(&bank).replace(ORIGINS, "")).await;
    ask(&node, "visitor", &BY_EVENT, 9000).await.ok();
    assert_eq!(bank.received(1).await[0].json()["to"], "visitor");
    ask(&node, "visitor", &BY_REQUEST, 9001).await.ok();
    assert_eq!(bank.received(2).await[1].json()["amount"], 9001);
    node.stop().await;
}
