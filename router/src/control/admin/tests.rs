//! The admin API as its clients see it: answers, refusals, guards and streams.

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use serde_json::{Value, json};
use weft_eventlog::{NewRecord, SystemClock};
use weft_functions::event::Event;

use super::super::desired::Scope;
use super::super::fixture::{Plane, function, request, topic, trigger};
use super::super::modules::ModuleDigest;
use super::super::readiness::Phase;
use super::super::refusals::RefusalLog;
use super::*;
use crate::path::caller::{Caller, Proof, workload};
use crate::path::envelope::Envelopes;
use crate::path::envelope::keys::KeyRing;

fn envelopes() -> Arc<Envelopes> {
    let trust_domain = "weft.local".parse().expect("a trust domain");
    Arc::new(Envelopes::new(KeyRing::new(0, &[7; 40]), trust_domain, Arc::new(SystemClock)))
}

/// Jobs that nobody delivers.
fn jobs_of(plane: &Plane) -> super::super::jobs::Parts {
    let (log, mesh): (Arc<dyn weft_eventlog::EventLog>, _) = (plane.log.clone(), plane.mesh.clone());
    super::super::jobs::Parts { log, mesh, clock: Arc::new(SystemClock), on_lane: Arc::new(|| ()) }
}

struct Api {
    plane: Plane,
    shutdown: CancellationToken,
    service: TowerToHyperService<Router>,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Api {
    async fn new() -> Self {
        Self::for_caller("spiffe://weft.local/ns/default/sa/dev", Proof::Dev).await
    }

    async fn for_caller(identity: &str, proof: Proof) -> Self {
        let plane = Plane::new().await;
        let shutdown = CancellationToken::new();
        let refusals = Arc::new(RefusalLog::open(plane.log.as_ref()).await.expect("opens"));
        let state = AdminState {
            deployments: plane.deployments.clone(),
            explain: Arc::new(Explainer::new(plane.mesh.clone(), refusals)),
            mesh: plane.mesh.clone(),
            jobs: Jobs::open(jobs_of(&plane)).await.expect("opens"),
            modules: plane.modules.clone(),
            readiness: plane.readiness.clone(),
            scale_log: Arc::new(ScaleLog::new(Arc::new(SystemClock))),
            node: NodeInfo {
                mode: Mode::Dev,
                http: "127.0.0.1:8080".parse().ok(),
                mtls: None,
                tls: None,
                admin: "127.0.0.1:8081".to_owned(),
                identity: "spiffe://weft.local/ns/default/sa/dev".to_owned(),
                folder: Some("/app".into()),
            },
            names: Names {
                domain: "localhost".into(),
                trust_domain: "weft.local".parse().expect("a trust domain"),
                loopback_topics: true,
            },
            envelopes: envelopes(),
            metrics: Arc::new(|snapshot| format!("weft_snapshot {}\n", snapshot.number)),
            guard: Guard::Loopback,
            bundle: Arc::new(|| None),
            shutdown: shutdown.clone(),
        };
        let router = router(state).layer(Extension(Caller::direct(workload(identity), proof)));
        Self { plane, shutdown, service: TowerToHyperService::new(router) }
    }

    async fn send(&self, request: Request<Body>) -> http::Response<Body> {
        self.service.call(request).await.expect("the service answers")
    }

    async fn ask(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder().method(method).uri(path).header("host", "localhost:8081").body(body.into());
        read(self.send(request.expect("a request")).await).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "").await
    }

    async fn apply(&self, text: &str) -> Answer {
        let body = json!({ "documents": [{ "file": "app.yaml", "text": text }] });
        self.ask(Method::POST, "/api/v1/apply", body.to_string()).await
    }

    async fn publish(&self, id: &str) {
        let event = Event::builder().id(id).source("/shop").ty("order.created").data(r#"{"n": 1.0}"#);
        let event = event.datacontenttype("application/json").build().expect("an event");
        let caller = Caller::direct(workload("spiffe://weft.local/ns/default/sa/shop"), Proof::Mtls);
        let body = event.data().cloned().unwrap_or_default();
        let view = self.plane.deployments.view();
        let topic = view.snapshot.topics.values().next().expect("a topic");
        let headers = envelopes().seal(&topic.name, &caller, 0, &[]).seal(&event);
        topic.log.append(vec![NewRecord { headers, body, ..NewRecord::default() }]).await.expect("appended");
    }
}

async fn read(response: http::Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    assert_eq!(head.headers.get("x-weft-api").map(HeaderValue::as_bytes), Some(&b"1"[..]), "on every answer");
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: head.status, headers: head.headers, body }
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (status, Some(code)), "{:?}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

#[tokio::test]
async fn the_guard_stands_before_everything() {
    let api = Api::new().await;
    for (field, value, code) in
        [("host", "evil.example", "HOST_REFUSED"), ("sec-fetch-site", "cross-site", "CROSS_SITE")]
    {
        for path in ["/healthz", "/metrics", "/api/v1/apply", "/none"] {
            let mut request = Request::get(path).header("host", "localhost").body(Body::empty()).expect("a request");
            request.headers_mut().insert(HeaderName::from_static(field), HeaderValue::from_static(value));
            refused(&read(api.send(request).await).await, 403, code);
        }
    }
}

#[tokio::test]
async fn the_node_says_how_it_is() {
    let api = Api::new().await;
    assert_eq!(api.get("/healthz").await.body, "ok");
    let unready = api.get("/readyz").await;
    assert_eq!((unready.status.as_u16(), unready.json()["ready"].as_bool()), (503, Some(false)));
    assert_eq!(unready.json()["missing"][0], "event log: not recovered yet");
    Phase::ALL.into_iter().for_each(|phase| api.plane.readiness.done(phase));
    assert_eq!(api.get("/readyz").await.json(), json!({ "ready": true }));
    api.apply(&topic("orders")).await;
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.body, "weft_snapshot 1\n");
    assert_eq!(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let node = json!({
        "version": env!("CARGO_PKG_VERSION"), "mode": "dev", "domain": "localhost", "http": "127.0.0.1:8080",
        "admin": "127.0.0.1:8081", "identity": "spiffe://weft.local/ns/default/sa/dev", "snapshot": 1, "folder": "/app",
        "mtls": null, "tls": null, "bundle": null,
    });
    assert_eq!(api.get("/api/v1/node").await.json(), node);
}

#[tokio::test]
async fn what_does_not_exist_is_said_so() {
    let api = Api::new().await;
    for path in [
        "/",
        "/api/v1/none",
        "/api/v1/resources/loom",
        "/api/v1/resources/topic/default/none",
        "/api/v1/resources/topic/default/No",
        "/api/v1/topics/default/none/events",
        "/api/v1/triggers/default/none/dead",
    ] {
        refused(&api.get(path).await, 404, "NOT_FOUND");
    }
    refused(&api.ask(Method::DELETE, "/api/v1/resources/topic/default/none", "").await, 404, "NOT_FOUND");
    let method = api.ask(Method::POST, "/api/v1/node", "").await;
    refused(&method, 405, "METHOD_NOT_ALLOWED");
    assert!(method.headers.contains_key("allow"));
    refused(&api.get("/api/v1/resources/topic?colour=red").await, 400, "BAD_REQUEST");
}

#[tokio::test]
async fn resources_are_applied_read_and_deleted() {
    let api = Api::new().await;
    let applied = api.apply(&(topic("orders") + &trigger("bill", "orders"))).await;
    let change =
        |kind: &str, name: &str| json!({ "change": "created", "kind": kind, "namespace": "default", "name": name });
    let expect =
        json!({ "snapshot": 1, "dryRun": false, "changes": [change("Topic", "orders"), change("Trigger", "bill")] });
    assert_eq!((applied.status.as_u16(), applied.json()), (200, expect));

    let one = api.get("/api/v1/resources/Topics/default/orders").await.json();
    assert_eq!(one["kind"], "Topic");
    assert_eq!(one["spec"]["durability"], "strict");
    let status = json!({
        "source": "api", "owner": "api", "snapshot": 1, "ready": true, "durability": "strict", "first": "1", "next": "1",
        "url": "http://topics.localhost:8080/default/orders", "bytes": 0, "deduplicated": 0, "triggers": ["bill"],
        "segments": one["status"]["segments"],
    });
    assert_eq!(one["status"], status);
    let list = api.get("/api/v1/resources/trigger?namespace=default").await.json();
    assert_eq!(list["items"][0]["status"]["target"], "http://127.0.0.1:9/");
    assert_eq!(list["items"][0]["status"]["topic"], "default/orders");
    assert_eq!(api.get("/api/v1/resources/trigger?namespace=shop").await.json(), json!({ "items": [] }));

    let in_use = api.ask(Method::DELETE, "/api/v1/resources/topic/default/orders", "").await;
    refused(&in_use, 409, "IN_USE");
    assert!(in_use.json()["detail"].as_str().is_some_and(|detail| detail.contains("trigger default/bill")));
    let deleted = api.ask(Method::DELETE, "/api/v1/resources/trigger/default/bill", "").await;
    assert_eq!(deleted.json()["changes"][0]["change"], "deleted");
    assert_eq!(api.ask(Method::DELETE, "/api/v1/resources/topic/default/orders", "").await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_the_folder_owns_is_not_the_apis() {
    let api = Api::new().await;
    api.plane.deployments.apply(request(&topic("orders"), Scope::Replace)).await.expect("applied");
    let owned = api.apply(&topic("orders")).await;
    refused(&owned, 409, "OWNED");
    assert!(owned.json()["detail"].as_str().is_some_and(|detail| detail.contains("app.yaml:2")), "{:?}", owned.body);
    refused(&api.ask(Method::DELETE, "/api/v1/resources/topic/default/orders", "").await, 409, "OWNED");
    assert_eq!(api.get("/api/v1/resources/topic/default/orders").await.json()["status"]["source"], "app.yaml:2");
}

#[tokio::test]
async fn mistakes_are_all_listed() {
    let api = Api::new().await;
    let text = function("hello", "./hello.wasm") + &trigger("bill", "orders");
    let answer = api.apply(&text).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(
        (&errors[0]["file"], &errors[0]["line"], &errors[0]["path"]),
        (&json!("app.yaml"), &json!(6), &json!("spec.module"))
    );
    for error in errors {
        for member in ["file", "line", "column", "path", "code", "message", "rendered"] {
            assert!(!error[member].is_null(), "{member} in {error}");
        }
    }
    let body = json!({ "documents": [], "more": 1 }).to_string();
    refused(&api.ask(Method::POST, "/api/v1/apply", body).await, 400, "BAD_REQUEST");
    refused(&api.ask(Method::POST, "/api/v1/apply", vec![b' '; (8 << 20) + 1]).await, 413, "BODY_TOO_LARGE");
    let dry = json!({ "documents": [{ "file": "a", "text": topic("orders") }], "dryRun": true }).to_string();
    assert_eq!(api.ask(Method::POST, "/api/v1/apply", dry).await.json()["dryRun"], true);
    assert_eq!(api.get("/api/v1/resources/topic").await.json(), json!({ "items": [] }));
}

#[tokio::test]
async fn modules_are_kept_by_their_digest() {
    let api = Api::new().await;
    let path = format!("/api/v1/modules/{}", ModuleDigest::of(b"abc"));
    assert_eq!(api.ask(Method::HEAD, &path, "").await.status, StatusCode::NOT_FOUND);
    refused(&api.ask(Method::PUT, &path, "abd").await, 400, "BAD_REQUEST");
    assert_eq!(api.ask(Method::PUT, &path, "abc").await.status, StatusCode::CREATED);
    assert_eq!(api.ask(Method::PUT, &path, "abc").await.status, StatusCode::OK);
    assert_eq!(api.ask(Method::HEAD, &path, "").await.status, StatusCode::OK);
    refused(&api.ask(Method::PUT, "/api/v1/modules/abc", "abc").await, 400, "BAD_REQUEST");
    let digest = "0".repeat(64);
    let body = json!({
        "documents": [{ "file": "app.yaml", "text": function("hello", "./a.wasm") }],
        "modules": [{ "file": "app.yaml", "module": "./a.wasm", "digest": digest }],
    });
    let answer = api.ask(Method::POST, "/api/v1/apply", body.to_string()).await;
    let message = answer.json()["errors"][0]["message"].as_str().map(ToOwned::to_owned);
    assert_eq!(message, Some(format!("module: ./a.wasm: the node does not have {digest}; upload it first")));
}

#[tokio::test]
async fn events_are_lines() {
    let api = Api::new().await;
    api.apply(&topic("orders")).await;
    for id in ["a", "b", "c"] {
        api.publish(id).await;
    }
    let path = "/api/v1/topics/default/orders/events";
    let check = async |query: &str, expect: &[&str]| {
        let answer = api.get(&format!("{path}{query}")).await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        let lines = answer.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines: Vec<Value> = lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
        let ids: Vec<&str> = lines.iter().filter_map(|line| line["event"]["id"].as_str()).collect();
        assert_eq!(ids, expect, "{query}");
        lines
    };
    let lines = check("", &["a", "b", "c"]).await;
    assert_eq!(
        (&lines[0]["sequence"], &lines[0]["principal"]),
        (&json!("1"), &json!("spiffe://weft.local/ns/default/sa/shop"))
    );
    check("?from=beginning&limit=2", &["a", "b"]).await;
    check("?from=3", &["c"]).await;
    check("?from=end", &[]).await;
    check("?from=2000-01-01T00:00:00Z", &["a", "b", "c"]).await;
    check("?from=2999-01-01T00:00:00Z", &[]).await;
    check("?follow=true&from=2&limit=2", &["b", "c"]).await;
    refused(&api.get(&format!("{path}?from=never")).await, 400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_stream_follows_until_the_node_ends() {
    let api = Api::new().await;
    api.apply(&topic("orders")).await;
    let request = Request::get("/api/v1/topics/default/orders/events?follow=true").header("host", "localhost");
    let mut body = api.send(request.body(Body::empty()).expect("a request")).await.into_body();
    api.publish("a").await;
    let frame = body.frame().await.expect("a frame").expect("no error").into_data().expect("data");
    assert!(frame.ends_with(b"}\n") && frame.windows(8).any(|part| part == b"\"id\":\"a\""), "{frame:?}");
    assert!(frame.windows(6).any(|part| part == b"\"n\": 1"), "data is passed on as it is: {frame:?}");
    api.shutdown.cancel();
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn the_dead_log_is_listed() {
    use weft_eventlog::{Settlement, Terminal};
    let api = Api::new().await;
    api.apply(&(topic("orders") + &trigger("bill", "orders"))).await;
    api.publish("a").await;
    let view = api.plane.deployments.view();
    let consumer = view.snapshot.triggers.values().next().expect("a trigger").consumer.clone();
    let lease = consumer.lease(1).await.expect("a lease").remove(0);
    let cause = vec![("code".to_owned(), "UP_CONNECT".to_owned())];
    consumer.settle(&lease, Settlement::Dead { state: Terminal::Dead, cause }).await.expect("settled");
    let dead = api.get("/api/v1/triggers/default/bill/dead?limit=5").await.json();
    let item = &dead["items"][0];
    assert_eq!(
        (&item["sequence"], &item["state"], &item["cause"]["code"]),
        (&json!("1"), &json!("dead"), &json!("UP_CONNECT"))
    );
    assert_eq!(item["event"]["id"], "a");
}

#[tokio::test]
async fn the_listener_serves_and_ends() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = Api::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // Who came in is there for whoever decides what they may do.
    let who = async |Extension(caller): Extension<Caller>| caller.principal.to_string();
    let router = Router::new().route("/who", get(who));
    let dev = workload("spiffe://weft.local/ns/default/sa/dev");
    let served = tokio::spawn(serve(Door::Loopback(listener, dev), router, api.shutdown.clone()));
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
    let request = b"GET /who HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("read");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("spiffe://weft.local/ns/default/sa/dev"), "{answer}");
    api.shutdown.cancel();
    served.await.expect("ends by itself");
}

fn policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec: {{ \
         {spec} }}\n"
    )
}

/// A policy that lets the clerk do what the verbs say.
fn clerk_may(namespace: &str, verbs: &str, more: &str) -> String {
    let from = "from: [ { source: { principals: [ \"spiffe://weft.local/ns/shop/sa/clerk\" ] } } ]";
    let to = format!("to: [ {{ operation: {{ verbs: [ {verbs} ] }} }} ]");
    policy("clerk", namespace, &format!("action: ALLOW{more}, rules: [ {{ {from}, {to} }} ]"))
}

fn denied(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (403, Some("AUTHZ_DENIED")), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.json()["decision"], answer.headers["x-weft-decision"].to_str().expect("an id"));
}

#[tokio::test]
async fn policy_says_who_may_read_and_apply() {
    let api = Api::for_caller("spiffe://weft.local/ns/shop/sa/clerk", Proof::Mtls).await;
    let deny = |verbs: &str, targets: &str| {
        let to = format!("to: [ {{ operation: {{ verbs: [ {verbs} ] }} }} ]");
        policy("no", "default", &format!("action: DENY, targets: [ {targets} ], rules: [ {{ {to} }} ]"))
    };
    let text = topic("orders") + &topic("secrets") + &trigger("bill", "orders");
    let text = text + &deny("read, apply", "{ topic: secrets }");
    api.plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");

    let secret = "/api/v1/resources/topic/default/secrets";
    denied(&api.get(secret).await);
    denied(&api.ask(Method::DELETE, secret, "").await);
    denied(&api.get("/api/v1/topics/default/secrets/events").await);
    let orders = api.get("/api/v1/resources/topic/default/orders").await;
    assert_eq!(orders.status, 200);
    let id = orders.headers["x-weft-decision"].to_str().expect("an id").parse().expect("an id");
    let kept = api.plane.mesh.records.kept(id).expect("recorded");
    assert_eq!((kept.verb.as_str(), kept.status), ("read", 200));
    let listed = api.get("/api/v1/resources/topic").await.json();
    let names: Vec<&Value> =
        listed["items"].as_array().expect("a list").iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["orders"], "what may not be read is not listed");

    // All or nothing: one resource that may not be changed keeps the others from being so.
    let both = topic("invoices") + &topic("secrets") + "spec: { dedupe: 1m }\n";
    denied(&api.apply(&both).await);
    assert_eq!(api.get("/api/v1/resources/topic/default/invoices").await.status, 404);
    assert_eq!(
        api.apply(&(topic("invoices") + &topic("secrets"))).await.status,
        200,
        "what stays the same is not changed"
    );
    // Who may not change it is not told what else there is: the mistake names resources.
    denied(&api.apply(&(topic("secrets") + "spec: { dedupe: 1m }\n" + &trigger("lost", "nowhere"))).await);
}

#[tokio::test]
async fn where_nothing_is_allowed_rights_are_given_one_by_one() {
    let api = Api::for_caller("spiffe://weft.local/ns/shop/sa/clerk", Proof::Mtls).await;
    let closed = "---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: { name: closed, namespace: weft-system }\n\
                  spec: { action: ALLOW, rules: [ { from: [ { source: { principals: [ \"spiffe://weft.local/ns/weft-system/sa/admin\" ] } } ], \
                  to: [ { operation: { verbs: [ read, apply, operate ] } } ] } ] }\n";
    let shop = |text: String| text.replace("{ name: orders }", "{ name: orders, namespace: shop }");
    let text = topic("orders") + &shop(topic("orders")) + closed + &clerk_may("shop", "read, apply", "");
    api.plane.deployments.apply(request(&text, Scope::Merge)).await.expect("applied");
    for path in ["/metrics", "/api/v1/node", "/api/v1/none", "/api/v1/resources/topic/default/orders"] {
        denied(&api.get(path).await);
    }
    assert_eq!(api.get("/healthz").await.body, "ok");
    assert_eq!(api.get("/api/v1/resources/topic/shop/orders").await.status, 200);
    assert_eq!(api.get("/api/v1/resources/topic").await.json()["items"].as_array().map(Vec::len), Some(1));
    denied(&api.get("/api/v1/resources/topic?namespace=default").await);
    denied(&api.get("/api/v1/resources/trigger").await);
    denied(&api.apply(&topic("invoices")).await);
    assert_eq!(api.apply(&shop(topic("orders") + "spec: { dedupe: 1m }\n")).await.status, 200);
    // A module is for a function that the caller may apply, or is not taken.
    let module = format!("/api/v1/modules/{}", ModuleDigest::of(b"abc"));
    denied(&api.ask(Method::PUT, &module, "abc").await);
    denied(&api.ask(Method::PUT, &format!("{module}?function=default/hello"), "abc").await);
    assert_eq!(api.ask(Method::PUT, &format!("{module}?function=shop/hello"), "abc").await.status, 201);
    refused(&api.ask(Method::PUT, &format!("{module}?function=No"), "abc").await, 400, "BAD_REQUEST");
}

#[tokio::test]
async fn a_stream_ends_with_the_right_to_it() {
    let api = Api::for_caller("spiffe://weft.local/ns/shop/sa/clerk", Proof::Mtls).await;
    api.apply(&topic("orders")).await;
    let request = Request::get("/api/v1/topics/default/orders/events?follow=true").header("host", "localhost");
    let mut body = api.send(request.body(Body::empty()).expect("a request")).await.into_body();
    api.publish("a").await;
    assert!(body.frame().await.expect("a frame").is_ok());
    let deny = policy("no", "default", "action: DENY, rules: [ { to: [ { operation: { verbs: [ read ] } } ] } ]");
    assert_eq!(api.apply(&deny).await.status, 200);
    api.plane.mesh.judge_open_calls().await;
    assert!(body.frame().await.expect("not an end").is_err());
}
