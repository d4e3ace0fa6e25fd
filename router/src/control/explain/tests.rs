//! What is explained, and that explaining says what deciding does. How the node answers is tested beside the admin API,
//! how it reads is tested beside the command.

mod situations;
mod subscriptions;

use http::Request;
use serde_json::{Value, json};
use weft_eventlog::MemoryLog;
use weft_functions::policy::Verb;

use super::super::desired::Scope;
use super::super::fixture::{Plane, function, request, topic, trigger};
use super::*;
use crate::path::call::Call;
use crate::path::caller::{Proof, workload};
use crate::path::{fixture, pipeline};

struct Scene {
    plane: Plane,
    explainer: Explainer,
}

impl Scene {
    async fn new(documents: &str) -> Self {
        let plane = Plane::new().await;
        plane.deployments.apply(request(documents, Scope::Merge)).await.expect("applied");
        let refusals = Arc::new(RefusalLog::open(&MemoryLog::default()).await.expect("opens"));
        let explainer = Explainer::new(plane.mesh.clone(), refusals);
        Self { plane, explainer }
    }

    fn request(&self, url: &str, caller: &str) -> Value {
        let caller = whom(&[caller], json!({})).caller(&self.plane.mesh.snapshot(), None).expect("a caller");
        let head = Request::get(url).body(()).expect("a request").into_parts().0;
        let (head, routed) = self.explainer.aim(head, &caller);
        json!(self.explainer.request(&head, routed, caller))
    }

    fn event(&self, ty: &str, caller: &str) -> Value {
        let caller = whom(&[caller], json!({})).caller(&self.plane.mesh.snapshot(), None).expect("a caller");
        let event = Event::builder().id("1").source("/shop").ty(ty).build().expect("an event");
        json!(self.explainer.event(&"default/orders".parse().expect("a name"), &event, caller))
    }

    /// Publishes an event and explains what came of it.
    async fn publish(&self, caller: &str) -> (Value, Value) {
        let body = r#"{"specversion":"1.0","id":"1","source":"/shop","type":"order.created"}"#;
        let request = Request::post("http://topics.localhost/default/orders");
        let request = request.header("content-type", "application/cloudevents+json");
        let call = Call {
            verb: Verb::Publish,
            target: Target::Topic("default/orders".parse().expect("a name")),
            caller: Caller::direct(workload(caller), Proof::Mtls),
            request: request.body(weft_runtime::full(body)).expect("a request"),
            deadline: tokio::time::Instant::now() + std::time::Duration::from_secs(5),
            hops: 0,
            cause: None,
            events: None,
        };
        let answer = pipeline::handle(&self.plane.mesh, call).await;
        let explained = self.explain(answer.decision).await;
        (json!(answer.outcome.code()), explained)
    }

    async fn explain(&self, id: DecisionId) -> Value {
        match self.explainer.decision(id).await.expect("read") {
            Some(Past::Kept(explained, _)) => json!(explained),
            Some(Past::Written(explained)) => explained,
            None => Value::Null,
        }
    }
}

fn whom(identities: &[&str], claims: Value) -> AsWhom {
    let Value::Object(claims) = claims else { panic!("claims are an object") };
    AsWhom { identities: identities.iter().map(|text| (*text).to_owned()).collect(), claims }
}

const SHOP: &str = "spiffe://weft.local/ns/default/sa/shop";
const WEAK: &str = "spiffe://weft.local/ns/default/sa/weak";

fn policies() -> String {
    format!(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Policy\nmetadata: {{ name: shop-only }}\nspec:\n  action: ALLOW\n  \
         targets: [ {{ topic: orders }} ]\n  rules:\n    - from: [ {{ source: {{ principals: [ \"{SHOP}\" ] }} }} ]\n      \
         to: [ {{ operation: {{ verbs: [ publish ], types: [ \"order.*\" ] }} }} ]\n"
    )
}

#[tokio::test]
async fn a_request_that_nobody_sent_is_explained_whole() {
    let scene = Scene::new(&(topic("orders") + &policies())).await;
    let explained = scene.request("http://topics.localhost:8080/default/orders", SHOP);
    let check = |pointer: &str, expect: Value| {
        assert_eq!(explained.pointer(pointer), Some(&expect), "{pointer} of {explained:#}");
    };
    check("/decision", Value::Null);
    check("/kind", json!("event"));
    check("/verb", json!("publish"));
    check("/verdict", json!("deferred"));
    check("/code", json!("NEEDS_EVENT"));
    check("/identity", json!({ "peer": SHOP, "user": null, "origin": SHOP, "via": [], "how": "mtls" }));
    check(
        "/route",
        json!({ "name": "topic default/orders", "source": "app.yaml:2", "matched": ["host", "path"], "losers": [] }),
    );
    check("/policy/steps/0/policy", json!("default/shop-only"));
    check("/policy/steps/0/source", json!("app.yaml:13"));
    check("/policy/steps/0/match", Value::Null);
    check("/snapshot/version", json!(1));

    let nowhere = scene.request("http://topics.localhost/default", SHOP);
    assert_eq!((&nowhere["verdict"], &nowhere["code"]), (&json!("no_route"), &json!("ROUTE_NONE")));
    assert_eq!((&nowhere["route"]["name"], &nowhere["policy"]["steps"]), (&Value::Null, &json!([])));
    let ambiguous = scene.request("http://topics.localhost/default/%6frders/../x", SHOP);
    assert_eq!(ambiguous["verdict"], "deny", "{ambiguous}");
    let unknown = scene.request("http://hello.localhost/", SHOP);
    assert_eq!((&unknown["verdict"], &unknown["code"]), (&json!("no_route"), &json!("ROUTE_NONE")), "{unknown}");
}

#[tokio::test]
async fn an_event_is_explained_at_its_topic_and_at_each_trigger() {
    let filtered = trigger("bill", "orders")
        .replace("topic: orders,", "topic: orders, filters: [ { exact: { type: order.created } } ],");
    let scene = Scene::new(&(topic("orders") + &filtered + &trigger("all", "orders") + &policies())).await;
    let good = scene.event("order.created", SHOP);
    assert_eq!(
        (&good["verdict"], &good["policy"]["deciding"]),
        (&json!("allow"), &json!("policy default/shop-only rule 0"))
    );
    let next = |explained: &Value| {
        let all = explained["event"]["subscriptions"].as_array().cloned().unwrap_or_default();
        all.iter()
            .map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["next"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(next(&good), ["default/all deliver", "default/bill deliver"]);
    let other = scene.event("order.changed", SHOP);
    assert_eq!(next(&other), ["default/all deliver", "default/bill filter"]);
    assert_eq!(other["event"]["subscriptions"][1]["first_failing"], "exact type=order.created");
    for (ty, caller) in [("order.created", WEAK), ("invoice", SHOP)] {
        let denied = scene.event(ty, caller);
        assert_eq!((&denied["verdict"], &denied["code"]), (&json!("deny"), &json!("AUTHZ_NO_ALLOW")), "{ty} {caller}");
        let why = denied["policy"]["steps"][0]["why"].as_str().expect("a reason");
        assert!(why.contains(if caller == WEAK { "principals" } else { "types" }), "{why}");
    }
}

#[tokio::test]
async fn a_decision_is_explained_by_the_rules_of_then() {
    let scene = Scene::new(&(topic("orders") + &policies())).await;
    let (code, before) = scene.publish(WEAK).await;
    assert_eq!(
        (&code, &before["code"], &before["verdict"]),
        (&json!("AUTHZ_NO_ALLOW"), &json!("AUTHZ_NO_ALLOW"), &json!("deny"))
    );
    let id = before["decision"].as_str().expect("an id").parse().expect("an id");
    // The rules change, and the topic goes.
    let plane = &scene.plane;
    plane.deployments.apply(request(&policies().replace(SHOP, WEAK), Scope::Merge)).await.expect("applied");
    let (code, _) = scene.publish(WEAK).await;
    assert_eq!(code, json!("OK"));
    plane.deployments.delete(super::super::fixture::id(Kind::Policy, "shop-only")).await.expect("deleted");
    plane.deployments.delete(super::super::fixture::id(Kind::Topic, "orders")).await.expect("deleted");
    let after = scene.explain(id).await;
    for part in ["verdict", "code", "identity", "route", "policy", "asked", "event"] {
        assert_eq!(after[part], before[part], "{part}");
    }
    assert_eq!(after["route"]["source"], "app.yaml:2");
    assert_eq!(after["policy"]["steps"][0]["source"], "app.yaml:13");
    assert_eq!((&after["call"]["status"], &after["snapshot"]["version"]), (&json!(403), &json!(1)));
    assert_eq!(after["policy"].get("note"), None, "{after}");
    assert_eq!(
        scene
            .explainer
            .decision("d-00000000000000000000000000".parse().expect("an id"))
            .await
            .map(|past| past.is_none()),
        Ok(true)
    );
}

#[tokio::test]
async fn explaining_changes_nothing() {
    let scene = Scene::new(&(topic("orders") + &trigger("all", "orders") + &policies())).await;
    scene.publish(SHOP).await;
    let state = || {
        let snapshot = scene.plane.mesh.snapshot();
        let name = "default/orders".parse().expect("a name");
        let consumer = &snapshot.triggers.values().next().expect("a trigger").consumer;
        (snapshot.topics[&name].log.bounds(), consumer.counters(), scene.plane.mesh.open.len())
    };
    let before = state();
    for _ in 0..3 {
        scene.request("http://topics.localhost/default/orders", WEAK);
        scene.event("order.created", SHOP);
        let search = Search { id: "1".to_owned(), source: None, topic: None };
        assert!(matches!(scene.explainer.delivery(&search, |_| true).await, Ok(Found::One(_))));
    }
    assert_eq!(state(), before);
    let next = scene.plane.mesh.records.id(1);
    assert!(scene.plane.mesh.records.kept(next).is_none(), "asking is no decision");
}

#[tokio::test]
async fn identities_are_read_and_tokens_need_an_issuer_that_counts() {
    let scene = Scene::new(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Issuer\nmetadata: { name: corp, namespace: shop }\nspec: { issuer: \
         \"https://id.corp.example\", audiences: [ weft ], jwksUri: \"https://id.corp.example/jwks\" }\n",
    )
    .await;
    let snapshot = scene.plane.mesh.snapshot();
    let (shop, other) = ("shop".parse().expect("a name"), "default".parse().expect("a name"));
    let ann = "jwt:https://id.corp.example/ann";
    let caller = whom(&[ann], json!({ "role": "clerk", "aud": ["weft"], "azp": "app" })).caller(&snapshot, Some(&shop));
    let caller = caller.expect("vouched for");
    let token = caller.token.as_deref().expect("a token");
    assert_eq!((caller.principal.as_str(), caller.how), ("https://id.corp.example/ann", Proof::Jwt));
    assert_eq!((&token.claims["role"], token.presenter.as_deref()), (&json!("clerk"), Some("app")));
    assert!(token.subject.counts_in(&shop) && !token.subject.counts_in(&other));
    let both = whom(&[SHOP, ann], json!({})).caller(&snapshot, Some(&shop)).expect("both");
    assert_eq!((both.principal.as_str(), both.token.is_some()), (SHOP, true));
    for (identities, claims, namespace, expect) in [
        (vec![ann], json!({}), &other, "no Issuer of the target's namespace"),
        (vec!["jwt:https://id.corp.example/"], json!({}), &shop, "no Issuer"),
        (vec!["ann"], json!({}), &shop, "is no identity"),
        (vec![SHOP, WEAK], json!({}), &shop, "at most one certificate"),
        (vec![ann, ann], json!({}), &shop, "at most one certificate"),
        (vec![SHOP], json!({ "role": "clerk" }), &shop, "claims are a token's"),
    ] {
        let error = whom(&identities, claims).caller(&snapshot, Some(namespace)).expect_err("refused");
        assert!(error.to_string().contains(expect), "{identities:?}: {error}");
    }
}

#[tokio::test]
async fn what_became_of_an_event_is_told_for_each_trigger() {
    use weft_eventlog::Settlement;
    let filtered =
        trigger("never", "orders").replace("topic: orders,", "topic: orders, filters: [ { exact: { type: no } } ],");
    let scene = Scene::new(&(topic("orders") + &trigger("bill", "orders") + &filtered)).await;
    scene.publish(SHOP).await;
    let snapshot = scene.plane.mesh.snapshot();
    let consumer = |name: &str| snapshot.triggers[&name.parse().expect("a name")].consumer.clone();
    let explain = async || {
        let search = Search { id: "1".to_owned(), source: Some("/shop".to_owned()), topic: None };
        match scene.explainer.delivery(&search, |_| true).await.expect("read") {
            Found::One(delivered) => json!(delivered),
            Found::Nowhere { .. } => Value::Null,
        }
    };
    let fresh = explain().await;
    assert_eq!(
        (&fresh["event"]["topic"], &fresh["event"]["sequence"], &fresh["event"]["principal"]),
        (&json!("default/orders"), &json!("1"), &json!(SHOP))
    );
    assert_eq!(
        (&fresh["deliveries"][0]["state"], &fresh["deliveries"][0]["next"]),
        (&json!("waiting"), &json!({ "attempt": 1, "at": null }))
    );
    assert_eq!(fresh["deliveries"][0]["policy"]["deliver"]["verdict"], "allow");
    assert_eq!(fresh["deliveries"][1]["filter"], json!({ "result": "fail", "first_failing": "exact type=no" }));

    let lease = consumer("bill").lease(1).await.expect("a lease").remove(0);
    assert_eq!(explain().await["deliveries"][0]["state"], "in_flight");
    let cause = [("status", "502"), ("code", "UP_CONNECT"), ("decision", "d-x"), ("attempt", "1")];
    let cause: Vec<_> = cause.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    consumer("bill")
        .settle(&lease, Settlement::Retry { due_ms: u64::MAX, cause: cause.clone(), counted: true })
        .await
        .expect("settled");
    let retrying = explain().await["deliveries"][0].clone();
    assert_eq!((&retrying["state"], &retrying["next"]["attempt"]), (&json!("retrying"), &json!(2)));
    assert_eq!(retrying["attempts"], json!([{ "at": null, "status": 502, "code": "UP_CONNECT", "decision": "d-x" }]));
    let lease = consumer("never").lease(1).await.expect("a lease").remove(0);
    consumer("never").settle(&lease, Settlement::Done(weft_eventlog::Terminal::Filtered)).await.expect("settled");
    assert_eq!(explain().await["deliveries"][1]["state"], "filtered");

    for (id, source, readable) in [("2", None, true), ("1", Some("/other"), true), ("1", None, false)] {
        let search = Search { id: id.to_owned(), source: source.map(ToOwned::to_owned), topic: None };
        let found = scene.explainer.delivery(&search, |_| readable).await.expect("read");
        assert!(matches!(found, Found::Nowhere { more: false }), "{id} {source:?} {readable}");
    }
}

#[tokio::test]
async fn a_function_is_foreseen_without_being_started() {
    let text = function("hello", "./hello.wasm");
    // Without its module the function is not deployed: what is explained is that.
    let plane = Plane::new().await;
    assert!(plane.deployments.apply(request(&text, Scope::Merge)).await.is_err());
    let refusals = Arc::new(RefusalLog::open(&MemoryLog::default()).await.expect("opens"));
    let explainer = Explainer::new(plane.mesh.clone(), refusals);
    let scene = Scene { plane, explainer };
    let explained = scene.request("http://hello.localhost/", SHOP);
    assert_eq!((&explained["code"], explained.get("instance")), (&json!("ROUTE_NONE"), None));
}
