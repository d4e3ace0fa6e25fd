//! The admin listener: whom it answers, what it says of the node, and what it refuses to people who came by a browser.

use serde_json::json;
use sha2::{Digest, Sha256};
use weft_tests::{Ask, Project, client, manifest, modules};

#[tokio::test]
async fn a_node_says_that_it_lives_what_it_is_and_when_it_is_ready() {
    let project = Project::new(&manifest::function("hello", "hello", ""));
    let node = project.start().await;
    let health = node.ask_admin(Ask::get("/healthz")).await;
    assert_eq!((health.status, health.header("x-weft-api")), (200, Some("1")));
    assert_eq!(node.ask_admin(Ask::get("/readyz")).await.json(), json!({ "ready": true }));
    let about = node.ask_admin(Ask::get("/api/v1/node")).await.json();
    assert_eq!((&about["mode"], &about["domain"]), (&"dev".into(), &"localhost".into()), "{about}");
    assert_eq!(about["http"], node.http.to_string(), "{about}");
    assert_eq!(about["identity"], "spiffe://weft.local/ns/default/sa/dev", "{about}");
    let metrics = node.ask_admin(Ask::get("/metrics")).await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
}

#[tokio::test]
async fn a_page_in_a_browser_is_not_an_operator() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    let list = || Ask::get("/api/v1/resources/topic");
    for host in ["evil.example", "orders.localhost.evil.example", "10.0.0.1", "weft.localhost"] {
        let answer = client::send(node.admin, list().host(host)).await.unwrap();
        assert_eq!(answer.status, 403, "{host}: {}", answer.text());
    }
    for host in ["localhost", "localhost:1234", "127.0.0.1", "[::1]:8081"] {
        let answer = client::send(node.admin, list().host(host)).await.unwrap();
        assert_eq!(answer.status, 200, "{host}: {}", answer.text());
    }
    for (name, value) in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let apply = Ask::post("/api/v1/apply").header("content-type", "application/json").header(name, value);
        let answer = node.ask_admin(apply.json(&json!({ "documents": [], "modules": [] }))).await;
        assert_eq!(answer.status, 403, "{name}: {value}: {}", answer.text());
        let delete = Ask::new("DELETE", "/api/v1/resources/topic/default/orders").header(name, value);
        assert_eq!(node.ask_admin(delete).await.status, 403, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_module_is_kept_under_its_digest_and_no_other() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    let bytes = std::fs::read(modules::guest("hello")).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = format!("/api/v1/modules/{digest}");
    assert_eq!(node.ask_admin(Ask::new("HEAD", &path)).await.status, 404);
    let other = node.ask_admin(Ask::new("PUT", &path).body("other bytes")).await;
    assert_eq!(other.status / 100, 4, "{}", other.text());
    assert_eq!(node.ask_admin(Ask::new("HEAD", &path)).await.status, 404);
    assert_eq!(node.ask_admin(Ask::new("PUT", &path).body(bytes.clone())).await.status, 201);
    assert_eq!(node.ask_admin(Ask::new("PUT", &path).body(bytes)).await.status, 200);
    assert_eq!(node.ask_admin(Ask::new("HEAD", &path)).await.status, 200);
    for bad in ["/api/v1/modules/..%2f..%2fetc", "/api/v1/modules/ABC", "/api/v1/modules/"] {
        assert_eq!(node.ask_admin(Ask::new("PUT", bad).body("x")).await.status / 100, 4, "{bad}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_code() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    for target in [
        "/api/v1/resources/function/default/none",
        "/api/v1/resources/gadget/default/orders",
        "/api/v1/topics/default/none/events",
        "/api/v1/triggers/default/none/dead",
        "/api/v2/node",
        "/nothing",
    ] {
        let answer = node.ask_admin(Ask::get(target)).await;
        assert_eq!((answer.status, answer.header("x-weft-api")), (404, Some("1")), "{target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        assert_eq!(answer.json()["code"], "NOT_FOUND", "{target}");
    }
    let wrong = node.ask_admin(Ask::post("/api/v1/apply").header("content-type", "application/json").body("{")).await;
    assert_eq!(wrong.status / 100, 4, "{}", wrong.text());
    let method = node.ask_admin(Ask::new("PUT", "/api/v1/node")).await;
    assert_eq!((method.status, &method.json()["code"]), (405, &"METHOD_NOT_ALLOWED".into()));
}
