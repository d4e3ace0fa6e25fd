//! What policy says of events: when they are published, when their topic is read, and when they are delivered.

use serde_json::{Value, json};
use weft_tests::events::{STRUCTURED, batch, event, structured, to_topic};
use weft_tests::{Ask, Project, Sink, manifest};

/// A document in another namespace than `default`.
fn in_namespace(namespace: &str, kind: &str, name: &str, spec: &str) -> String {
    let metadata = format!("{{ name: {name}, namespace: {namespace} }}");
    format!("---\napiVersion: weft.dev/v1alpha1\nkind: {kind}\nmetadata: {metadata}\nspec: {{ {spec} }}\n")
}

fn of_source(id: &str, source: &str) -> Value {
    let mut event = event(id, "order.created");
    event["source"] = source.into();
    event
}

#[tokio::test]
async fn a_right_that_is_taken_away_stops_what_is_queued() {
    const ROWS: [(&str, &str); 2] =
        [("consume", "{ topic: orders }"), ("deliver, egress", "{ function: replier }, { trigger: out }")];
    for (verbs, targets) in ROWS {
        let sink = Sink::with_statuses(&[503]).await;
        let again = "delivery: { retry: 1000, backoffDelay: PT0.05S, backoffMax: PT0.1S }";
        let text = manifest::function("replier", "replier", "")
            + &manifest::topic("orders", "")
            + &manifest::trigger("out", "orders", &format!("url: '{}', {again}", sink.url("/")))
            + &manifest::trigger("in", "orders", &format!("function: replier, path: /error, {again}"));
        let project = Project::new(&text);
        let node = project.start().await;
        node.publish("orders", &event("1", "t")).await;
        sink.received(2).await;
        let rule = format!("rules: [ {{ to: [ {{ operation: {{ verbs: [ {verbs} ] }} }} ] }} ]");
        project.write(
            "app.yaml",
            text + &manifest::policy("stop", &format!("action: DENY, targets: [ {targets} ], {rule}")),
        );
        for trigger in ["in", "out"] {
            assert_eq!(node.settled(trigger, 1).await.in_state("denied"), 1, "{verbs} {trigger}");
            let dead = &node.dead(trigger).await[0];
            assert_eq!(dead["cause"]["code"], "AUTHZ_DENY_RULE", "{verbs} {dead}");
            assert!(dead["cause"]["decision"].as_str().is_some_and(|id| id.starts_with("d-")), "{dead}");
        }
    }
}

#[tokio::test]
async fn a_topic_of_another_namespace_is_read_by_its_owners_leave() {
    let sink = Sink::start().await;
    let reader =
        |name: &str, topic: &str| manifest::trigger(name, topic, &format!("url: '{}'", sink.url(&format!("/{name}"))));
    let leave = "targets: [ { topic: letters } ], rules: [ { \
                 from: [ { source: { principals: [ \"spiffe://weft.local/ns/default/trigger/guest\" ] } } ], \
                 to: [ { operation: { verbs: [ consume ] } } ] } ]";
    let text = manifest::topic("orders", "")
        + &in_namespace("shop", "Topic", "orders", "")
        + &in_namespace("shop", "Topic", "letters", "")
        + &in_namespace("shop", "Policy", "guests-read-letters", leave)
        + &reader("own", "orders")
        + &reader("stranger", "shop/orders")
        + &reader("guest", "shop/letters")
        + &reader("uninvited", "shop/letters");
    let project = Project::new(&text);
    let node = project.start().await;
    for topic in ["default/orders", "shop/orders", "shop/letters"] {
        let publish = Ask::post(format!("/{topic}")).host("topics.localhost").header("content-type", STRUCTURED);
        node.ask(publish.json(&event("1", "t"))).await.sequences();
    }
    let expect = [("own", "delivered"), ("stranger", "denied"), ("guest", "delivered"), ("uninvited", "denied")];
    for (trigger, state) in expect {
        assert_eq!(node.settled(trigger, 1).await.in_state(state), 1, "{trigger}");
    }
    let mut came: Vec<_> = sink.deliveries().into_iter().map(|delivery| delivery.target).collect();
    came.sort();
    assert_eq!(came, ["/guest", "/own"]);
    let asked = node.scrape().await;
    assert_eq!(asked.sum("weft_calls_total", &[("verb", "consume"), ("code", "OK")]), 2);
    assert_eq!(asked.sum("weft_calls_total", &[("verb", "consume"), ("code", "AUTHZ_NO_ALLOW")]), 2);
    assert_eq!(asked.sum("weft_calls_total", &[("verb", "egress"), ("code", "OK")]), 2);
}

#[tokio::test]
async fn a_publish_is_judged_by_its_events_all_or_nothing() {
    let orders = "rules: [ { to: [ { operation: { verbs: [ publish ], types: [ \"order.*\" ] } } ] } ]";
    let text = manifest::topic("orders", "") + &manifest::policy("orders-only", orders);
    let project = Project::new(&text);
    let node = project.start().await;
    let (good, bad) = (event("1", "order.created"), event("2", "letter.sent"));
    for (events, status) in [
        (vec![good.clone()], 202),
        (vec![bad.clone()], 403),
        (vec![event("3", "order.paid"), bad.clone()], 403),
        (vec![good.clone(), event("4", "order.paid")], 202),
        (vec![], 202),
    ] {
        let answer = node.ask(batch("orders", &events)).await;
        assert_eq!(answer.status, status, "{events:?} {}", answer.text());
        if status == 403 {
            assert_eq!(answer.code().as_deref(), Some("AUTHZ_DENIED"));
        }
    }
    assert_eq!(node.ask(structured("orders", &bad)).await.status, 403);
    // What is no event cannot be judged, and what does not exist is not read.
    assert_eq!(node.ask(to_topic("orders").body("x")).await.code().as_deref(), Some("EVENT_INVALID"));
    assert_eq!(node.ask(to_topic("nowhere").json(&bad)).await.status, 404);
    let kept: Vec<_> = node.events("orders").await.into_iter().map(|event| event["event"]["id"].clone()).collect();
    assert_eq!(kept, ["1", "4"]);
}

#[tokio::test]
async fn workloads_publish_under_the_sources_of_their_namespace() {
    let namespace = in_namespace("default", "Namespace", "default", "sourcePrefixes: [ /shop ]");
    let project = Project::new(&(manifest::topic("orders", "") + &namespace));
    let node = project.start().await;
    for (source, status) in
        [("/shop", 202), ("/shop/till", 202), ("/shopping", 403), ("/shop/../bank", 403), ("/", 403)]
    {
        let answer = node.ask(structured("orders", &of_source(source, source))).await;
        assert_eq!(answer.status, status, "{source} {}", answer.text());
    }
}

#[tokio::test]
async fn an_audit_is_written_and_changes_nothing() {
    let watch = "action: AUDIT, rules: [ { to: [ { operation: { verbs: [ publish ], types: [ order.created ] } } ] } ]";
    let project = Project::new(&(manifest::topic("orders", "") + &manifest::policy("watch", watch)));
    let node = project.start().await;
    let answers = [
        node.ask(structured("orders", &event("1", "letter.sent"))).await,
        node.ask(structured("orders", &event("2", "order.created"))).await,
    ];
    assert_eq!(answers.each_ref().map(|answer| answer.status), [202, 202]);
    let line = node.logged(&["weft::audit", "policy=\"default/watch\"", "rule=0"]).await;
    assert!(line.contains(answers[1].decision().expect("a decision")), "{line}");
    assert_eq!(node.log_lines(&["weft::audit"]).len(), 1);
    let expect = json!({ "accepted": [{ "id": "2", "source": "/test", "sequence": "2" }] });
    assert_eq!(answers[1].json(), expect);
}
