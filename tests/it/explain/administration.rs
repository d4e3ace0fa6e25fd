//! Who may administrate is judged like everything else: by policy, on record, and explained.

use serde_json::json;
use weft_tests::{Ask, Project, manifest};

use super::{DEV, explain};

/// A policy that refuses the caller of `weft dev` some verbs.
fn deny(name: &str, verbs: &str, targets: &str) -> String {
    let from = format!("from: [ {{ source: {{ principals: [ \"{DEV}\" ] }} }} ]");
    let to = format!("to: [ {{ operation: {{ verbs: [ {verbs} ] }} }} ]");
    manifest::policy(name, &format!("action: DENY{targets}, rules: [ {{ {from}, {to} }} ]"))
}

#[tokio::test]
async fn administration_is_judged_recorded_and_explained() {
    let text = manifest::topic("orders", "")
        + &manifest::topic("secrets", "")
        + &deny("frozen", "apply", ", targets: [ { topic: orders } ]")
        + &deny("no", "read, apply", ", targets: [ { topic: secrets } ]");
    let project = Project::new(&text);
    let node = project.start().await;
    let frozen = node.ask_admin(Ask::new("DELETE", "/api/v1/resources/topic/default/orders")).await;
    assert_eq!((frozen.status, frozen.code().as_deref()), (403, Some("AUTHZ_DENIED")));
    let explained = explain(&node, &[frozen.decision().unwrap()]).await;
    assert_eq!((&explained["kind"], &explained["verb"]), (&json!("admin"), &json!("apply")), "{explained:#}");
    assert_eq!(
        (&explained["code"], &explained["asked"]["target"]),
        (&json!("AUTHZ_DENY_RULE"), &json!("Topic default/orders"))
    );
    assert_eq!(explained["policy"]["deciding"], "policy default/frozen rule 0", "{explained:#}");

    // Who may not read what was asked for may not have it explained.
    let secret = node.ask_admin(Ask::get("/api/v1/resources/topic/default/secrets")).await;
    assert_eq!((secret.status, secret.code().as_deref()), (403, Some("AUTHZ_DENIED")));
    let hidden = node.weft(&["explain", secret.decision().unwrap()]).await;
    assert_eq!(hidden.code, 1, "{hidden:?}");
    assert!(hidden.stderr.contains("AUTHZ_DENIED, decision d-"), "{hidden:?}");
    let get = node.weft(&["get", "topic", "secrets"]).await;
    assert_eq!(get.code, 1, "{get:?}");
    assert!(get.stderr.contains("AUTHZ_DENIED, decision d-"), "{get:?}");
    let listed = node.weft(&["get", "topics", "-o", "json"]).await.ok().json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(node.weft(&["tail", "secrets", "--limit", "1"]).await.code, 1);
    let orders = node.ask_admin(Ask::get("/api/v1/resources/topic/default/orders")).await;
    assert_eq!(explain(&node, &[orders.decision().unwrap()]).await["verdict"], "allow");

    // An apply is all or nothing.
    project.write("ignored/more.txt", "");
    let more = manifest::topic("invoices", "") + &manifest::topic("secrets", "dedupe: 1m");
    let applied = node.weft_with_input(&["apply", "-f", "-"], more.as_bytes()).await;
    assert_eq!(applied.code, 1, "{applied:?}");
    assert!(applied.stderr.contains("AUTHZ_DENIED"), "{applied:?}");
    assert_eq!(node.weft(&["get", "topic", "invoices"]).await.code, 1);
    for open in ["/healthz", "/readyz"] {
        assert_eq!(node.ask_admin(Ask::get(open)).await.status, 200);
    }
}

#[tokio::test]
async fn rules_that_name_no_verb_are_about_traffic() {
    let project = Project::new(&(manifest::topic("orders", "") + &super::deny("closed", DEV)));
    let node = project.start().await;
    let refused = node.ask(Ask::post("/default/orders").host("topics.localhost").body("{}")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    node.weft(&["get", "topic", "orders"]).await.ok();
    node.weft_with_input(&["apply", "-f", "-"], manifest::topic("invoices", "").as_bytes()).await.ok();
}
