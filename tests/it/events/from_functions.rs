//! Functions that publish, call each other and reach outside: with their own identity, on behalf of who began.

use weft_tests::events::event;
use weft_tests::{Ask, Project, Sink, manifest};

const DEV: &str = "spiffe://weft.local/ns/default/sa/dev";
const RELAY: &str = "spiffe://weft.local/ns/default/fn/relay";

fn post(target: &str) -> Ask {
    Ask::post(target).host("relay.localhost")
}

#[tokio::test]
async fn a_function_publishes_under_its_own_name() {
    let text = manifest::function("relay", "relay", "") + &manifest::topic("orders", "");
    let project = Project::new(&text);
    let node = project.start().await;
    let receipt = node.ask(post("/publish/orders").body("hello")).await;
    assert_eq!((receipt.status, &receipt.json()["sequence"]), (200, &"1".into()), "{}", receipt.text());
    let kept = &node.events("orders").await[0];
    assert_eq!((&kept["principal"], &kept["origin"]), (&RELAY.into(), &DEV.into()), "{kept}");
    assert_eq!((&kept["event"]["type"], &kept["event"]["id"]), (&"relayed".into(), &receipt.json()["id"]), "{kept}");

    let nowhere = node.ask(post("/publish/none").body("hello")).await;
    assert_eq!(nowhere.status, 500);
    node.logged(&["weft::guest", "topic default/none", "404", "ROUTE_NONE"]).await;
}

#[tokio::test]
async fn a_function_calls_another_and_both_know_who_began() {
    let text = manifest::function("relay", "relay", "") + &manifest::function("echo", "echo", "");
    let project = Project::new(&text);
    let node = project.start().await;
    let answer = node.ask(post("/call/default/echo/a/b?x=%2F&y").header("x-weft-origin", "forged").body("hello")).await;
    let seen = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((&seen["method"], &seen["path"], &seen["query"]), (&"POST".into(), &"/a/b".into(), &"x=%2F&y".into()));
    assert_eq!(seen["body"], "hello");
    assert_eq!((&seen["principal"], &seen["origin"]), (&RELAY.into(), &DEV.into()), "{seen}");
    assert!(answer.decision().is_some());

    let status = node.ask(post("/call/default/echo/?status=418")).await;
    assert_eq!(status.status, 418, "another function's status is passed on");
    let nobody = node.ask(post("/call/default/none/")).await;
    assert_eq!((nobody.status, &nobody.json()["code"]), (404, &"ROUTE_NONE".into()));
}

#[tokio::test]
async fn a_chain_of_calls_ends_and_never_waits_for_itself() {
    let project = Project::new(&manifest::function("relay", "relay", "scale: { max: 100 }"));
    let node = project.start().await;
    let within = node.ask(post(&("/call/default/relay".repeat(10) + "/unheard-of"))).await;
    assert_eq!(within.status, 404, "ten hops are a long chain and no loop: {}", within.text());
    let beyond = node.ask(post(&"/call/default/relay".repeat(20))).await;
    assert_eq!((beyond.status, &beyond.json()["code"]), (429, &"CALL_CYCLE".into()), "{}", beyond.text());
}

#[tokio::test]
async fn what_a_delivery_publishes_counts_once_however_often_it_is_delivered() {
    let topics =
        manifest::function("relay", "relay", "") + &manifest::topic("orders", "") + &manifest::topic("copies", "");
    let whole = topics.clone()
        + &manifest::trigger("copy", "orders", "from: beginning, function: relay, path: /publish/copies");
    let project = Project::new(&whole);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("copy", 1).await.in_state("delivered"), 1);
    project.write("app.yaml", &topics);
    node.logged(&["reloaded: 0 changed, 0 added, 1 removed"]).await;
    project.write("app.yaml", &whole);
    node.logged(&["reloaded: 0 changed, 1 added, 0 removed"]).await;
    assert_eq!(node.settled("copy", 1).await.in_state("delivered"), 1);
    assert_eq!(node.function_count("relay", "calls").await, 2);
    let copies = node.events("copies").await;
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert_eq!((&copies[0]["event"]["id"], &copies[0]["principal"]), (&"relayed-1".into(), &RELAY.into()));
}

#[tokio::test]
async fn a_function_reaches_outside_only_where_its_manifest_lets_it() {
    let sink = Sink::start().await;
    let authority = sink.url("").replace("http://", "");
    let text = manifest::function("relay", "relay", "")
        + &manifest::function("listed", "relay", &format!("allowHosts: [ '{authority}' ]"))
        + &manifest::function("named", "relay", "allowHosts: [ localhost ]");
    let project = Project::new(&text);
    let node = project.start().await;
    let fetch = async |function: &str, url: &str| {
        node.ask(Ask::get(format!("/fetch?url={url}")).host(&format!("{function}.localhost"))).await.status
    };
    // The sink takes deliveries only and answers everything else with 405, so that is a call which got through.
    assert_eq!(fetch("listed", &sink.url("/")).await, 405);
    assert_eq!(fetch("relay", &sink.url("/")).await, 500);
    node.logged(&["weft::refused", "EGRESS_DENIED", "is not in allowHosts of function default/relay"]).await;
    // A listed name never means a private address.
    let by_name = sink.url("/").replace("127.0.0.1", "localhost");
    assert_eq!(fetch("named", &by_name).await, 500);
    assert!(node.log_lines(&["weft::refused", "EGRESS_DENIED"]).len() >= 2, "{}", node.log());
}

#[tokio::test]
async fn policy_binds_functions_as_it_binds_people() {
    let text = manifest::function("relay", "relay", "")
        + &manifest::topic("orders", "")
        + &manifest::policy(
            "not-the-relay",
            &format!(
                "action: DENY, targets: [ {{ topic: orders }} ], rules: [ {{ \
                 from: [ {{ source: {{ principals: [ '{RELAY}' ] }} }} ], \
                 to: [ {{ operation: {{ verbs: [ publish ] }} }} ] }} ]"
            ),
        );
    let project = Project::new(&text);
    let node = project.start().await;
    assert_eq!(node.ask(post("/publish/orders").body("hello")).await.status, 500);
    node.logged(&["weft::guest", "AUTHZ_DENIED"]).await;
    node.logged(&["weft::refused", "AUTHZ_DENY_RULE", "default/not-the-relay", RELAY]).await;
    assert_eq!(node.publish("orders", &event("1", "t")).await, 1);
    assert_eq!(node.events("orders").await.len(), 1);
}
