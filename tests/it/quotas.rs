//! What a namespace may use: beyond it calls and events wait outside, and nobody else does.

use serde_json::json;
use weft_tests::events::{STRUCTURED, event, event_with, structured};
use weft_tests::{Ask, Project, eventually, manifest};

/// The namespace `default`, with these quotas.
fn quotas(quotas: &str) -> String {
    manifest::document("Namespace", "default", &format!("quotas: {{ {quotas} }}"))
}

/// A document in the namespace `other`.
fn other(document: &str) -> String {
    document.replacen("metadata: { name:", "metadata: { namespace: other, name:", 1)
}

#[tokio::test]
async fn calls_beyond_the_quota_are_told_to_come_again() {
    let echo = manifest::function("echo", "echo", "");
    let project = Project::new(&(quotas("instances: 1") + &echo + &other(&echo)));
    let node = project.start().await;
    let slow = node.ask(Ask::get("/?sleep=1500").host("echo.localhost"));
    let meanwhile = async {
        eventually("a call under way", async || {
            let namespace = node.resource("namespace", "default").await;
            (namespace["status"]["instances"] == 1).then_some(())
        })
        .await;
        (node.get("echo", "/").await, node.get("echo.other", "/").await)
    };
    let (slow, (refused, elsewhere)) = tokio::join!(slow, meanwhile);
    assert_eq!((slow.status, elsewhere.status), (200, 200));
    assert_eq!((refused.status, refused.code().as_deref()), (429, Some("LIMIT_RATE")));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let problem = refused.json();
    assert_eq!(
        (&problem["title"], &problem["detail"]),
        (&json!("the namespace has used up a quota for now"), &json!(null))
    );
    eventually("the place is free again", async || (node.get("echo", "/").await.status == 200).then_some(())).await;
    let table = node.weft(&["get", "namespaces"]).await.ok().stdout;
    assert!(
        table.lines().any(|line| line.starts_with("default ") && line.contains("1/100") && line.contains("0/1")),
        "{table}"
    );
}

#[tokio::test]
async fn events_beyond_the_quota_are_told_when_to_come_again() {
    let topic = manifest::topic("orders", "");
    let project = Project::new(&(quotas("publishBytesPerSecond: 1Ki") + &topic + &other(&topic)));
    let node = project.start().await;
    // An event is never too large for the quota: it is taken, and those after it wait for as long as it used up.
    let large = event_with("1", "order", json!("x".repeat(3 * 1024)));
    assert_eq!(node.publish("orders", &large).await, 1);
    let refused = node.ask(structured("orders", &event("2", "order"))).await;
    assert_eq!((refused.status, refused.code().as_deref()), (429, Some("LIMIT_RATE")));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    let elsewhere = Ask::post("/other/orders").host("topics.localhost").header("content-type", STRUCTURED);
    assert_eq!(node.ask(elsewhere.json(&event("2", "order"))).await.sequences(), [1]);
    eventually("the quota to fill up again", async || {
        let answer = node.ask(structured("orders", &event("2", "order"))).await;
        (answer.status == 202).then_some(())
    })
    .await;
}
