//! What leaves the mesh: only what a function lists and policy allows, dialled as it was judged; triggers by their own
//! identity. A guest on the bare bindings writes addresses that no library would let it write.

use serde_json::{Value, json};
use tokio::net::TcpListener;
use weft_tests::events::event;
use weft_tests::{Answer, Ask, Node, Project, Reply, Sink, manifest};

/// Makes the calls from inside the function and gives what each came to.
async fn dial(node: &Node, function: &str, calls: &[Value]) -> Vec<Value> {
    let ask = Ask::post("/dial").host(&format!("{function}.localhost")).body(Value::from(calls).to_string());
    let answer: Answer = node.ask(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().as_array().cloned().expect("a list")
}

fn get(authority: &str) -> Value {
    json!({ "authority": authority, "path": "/" })
}

fn authority(sink: &Sink) -> String {
    sink.url("").replace("http://", "")
}

/// Whether the function's call was refused as the mesh refuses what may not leave it.
fn is_denied(outcome: &Value) -> bool {
    outcome["error"] == "ErrorCode::HttpRequestDenied"
}

/// A listener on a free port of this machine that nobody may connect to.
struct Canary {
    listeners: Vec<TcpListener>,
    port: u16,
}

impl Canary {
    async fn start() -> Self {
        let first = TcpListener::bind("0.0.0.0:0").await.expect("a free port");
        let port = first.local_addr().expect("the canary's address").port();
        let mut listeners = vec![first];
        // A machine may have no IPv6; then nobody can connect by it either.
        listeners.extend(TcpListener::bind(("::1", port)).await);
        Self { listeners, port }
    }

    /// A connection that is there waits in the listener's queue, so nothing is missed.
    async fn is_untouched(&self) -> bool {
        for listener in &self.listeners {
            let next = tokio::time::timeout(std::time::Duration::ZERO, listener.accept());
            if next.await.is_ok() {
                return false;
            }
        }
        true
    }
}

/// Names that no resolver outside this machine is asked for.
const LOCAL_NAMES: &str = "localhost, '*.localhost', ip6-localhost, localhost6, ip6-loopback, '0x7f.1', '0x7f000001'";

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_dialled() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/addresses.json")).expect("JSON");
    let canary = Canary::start().await;
    let text = manifest::function("bare", "dialer", "limits: { cpu: 10s, timeout: 60s }")
        + &manifest::function(
            "named",
            "dialer",
            &format!("allowHosts: [ {LOCAL_NAMES} ], limits: {{ cpu: 10s, timeout: 60s }}"),
        );
    let project = Project::new(&text);
    let node = project.start().await;
    let groups = vectors["hosts"].as_object().expect("groups").values();
    let hosts = groups.flat_map(|group| group.as_array().expect("a list")).filter_map(Value::as_str);
    let schemes = ["http", "https", "unix"];
    let calls: Vec<Value> = hosts
        .flat_map(|host| {
            let authority = format!("{host}:{}", canary.port);
            schemes.map(|scheme| json!({ "scheme": scheme, "authority": authority }))
        })
        .collect();
    assert!(calls.len() >= 3 * 150);
    for function in ["bare", "named"] {
        let outcomes = dial(&node, function, &calls).await;
        assert_eq!(outcomes.len(), calls.len());
        for (call, outcome) in calls.iter().zip(&outcomes) {
            // What is too odd to be a call at all is an error before anybody is asked.
            let refused = outcome["error"].is_string() || outcome["refused"].is_string();
            assert!(refused, "{function} dialled {call}: {outcome}");
        }
        // Not all of them were too odd for the host: the mesh itself refused most.
        assert!(outcomes.iter().filter(|outcome| is_denied(outcome)).count() > 200);
    }
    assert!(canary.is_untouched().await, "somebody connected");
    // Control: the canary is where they would have gone.
    let _connected = tokio::net::TcpStream::connect(("127.0.0.1", canary.port)).await.expect("a connection");
    assert!(!canary.is_untouched().await);
}

#[tokio::test]
async fn what_is_listed_is_reached_under_its_own_name_and_each_refusal_is_recorded() {
    let sink = Sink::start().await;
    let own = authority(&sink);
    let project = Project::new(&manifest::function("dialer", "dialer", &format!("allowHosts: [ '{own}' ]")));
    let node = project.start().await;
    let call = json!({ "authority": own, "path": "/a?b", "method": "POST", "body": "hello",
        "headers": [ ["x-weft-principal", "forged"], ["x-forwarded-for", "forged"], ["x-own", "kept"] ] });
    let outcomes = dial(&node, "dialer", &[call, get(&own.replace("127.0.0.1", "127.0.0.2"))]).await;
    assert_eq!(outcomes[0]["status"], 204, "{outcomes:?}");
    assert!(is_denied(&outcomes[1]), "{outcomes:?}");
    let seen = &sink.received(1).await[0];
    assert_eq!((seen.target.as_str(), seen.header("host"), seen.header("x-own")), ("/a?b", Some(&*own), Some("kept")));
    assert!(!format!("{:?}", seen.headers).contains("forged"), "{seen:?}");
    assert!(seen.headers.keys().all(|name| !name.as_str().starts_with("x-weft-")), "{seen:?}");

    let line = node.logged(&["weft::refused", "EGRESS_DENIED", "127.0.0.2"]).await;
    for field in ["verb=\"egress\"", "namespace=\"default\"", "target=\"dialer\"", "decision=d-", "fn/dialer"] {
        assert!(line.contains(field), "{field} in {line}");
    }
    let scrape = node.scrape().await;
    let labels = [("verb", "egress"), ("namespace", "default"), ("target", "dialer")];
    let count = |code: &str| scrape.sum("weft_calls_total", &[&labels[..], &[("code", code)]].concat());
    assert_eq!((count("OK"), count("EGRESS_DENIED")), (1, 1));
}

#[tokio::test]
async fn policy_has_a_say_beside_the_list() {
    let sink = Sink::start().await;
    let own = authority(&sink);
    let text = manifest::function("dialer", "dialer", &format!("allowHosts: [ '{own}' ]"))
        + &manifest::policy(
            "not-outside",
            "action: DENY, targets: [ { function: dialer } ], rules: [ { to: [ { operation: { verbs: [ egress ] } } ] } ]",
        );
    let project = Project::new(&text);
    let node = project.start().await;
    assert!(is_denied(&dial(&node, "dialer", &[get(&own)]).await[0]));
    node.logged(&["weft::refused", "AUTHZ_DENY_RULE", "default/not-outside", "verb=\"egress\""]).await;
    assert!(sink.deliveries().is_empty());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = Sink::start().await;
    let to = elsewhere.url("/");
    let sink = Sink::answering(move |_, _| Reply::status(307).header("location", &to)).await;
    let own = authority(&sink);
    let project = Project::new(&manifest::function("dialer", "dialer", &format!("allowHosts: [ '{own}' ]")));
    let node = project.start().await;
    let outcome = &dial(&node, "dialer", &[json!({ "authority": own, "method": "POST" })]).await[0];
    assert_eq!(outcome["status"], 307, "{outcome}");
    assert!(elsewhere.deliveries().is_empty());
}

/// A function is bound by the paths of the mesh as everybody is.
#[tokio::test]
async fn calls_within_the_mesh_have_one_spelling_too() {
    let text = manifest::function("dialer", "dialer", "") + &manifest::function("echo", "echo", "");
    let project = Project::new(&text);
    let node = project.start().await;
    let to = |path: &str| json!({ "authority": "echo.default.weft.internal", "path": path });
    let good = dial(&node, "dialer", &[to("/a/%7Eb?c")]).await;
    let seen: Value = serde_json::from_str(good[0]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!((&seen["path"], &seen["query"]), (&"/a/~b".into(), &"c".into()));
    assert_eq!(seen["authority"], "echo.default.weft.internal");
    let paths = ["/a/../b", "/./a", "/a//b", "/%2e%2e/b", "/a%2fb", "/a;b", "/%252e"];
    for outcome in dial(&node, "dialer", &paths.map(to)).await {
        let problem: Value = serde_json::from_str(outcome["body"].as_str().expect("a body")).expect("JSON");
        assert_eq!((&outcome["status"], &problem["code"]), (&400.into(), &"REQUEST_AMBIGUOUS".into()), "{outcome}");
    }
    assert_eq!(node.function_count("echo", "calls").await, 1, "what was refused never reached the function");
}

#[tokio::test]
async fn triggers_reach_public_addresses_and_in_dev_loopback() {
    let sink = Sink::start().await;
    let text = manifest::topic("orders", "")
        + &manifest::trigger("near", "orders", &format!("url: '{}'", sink.url("/hook")))
        + &manifest::trigger("far", "orders", "url: 'http://10.0.0.1/hook'")
        + &manifest::trigger("metadata", "orders", "url: 'http://169.254.169.254/latest'");
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("near", 1).await.in_state("delivered"), 1);
    for trigger in ["far", "metadata"] {
        assert_eq!(node.settled(trigger, 1).await.in_state("denied"), 1, "{trigger}");
        let dead = &node.dead(trigger).await[0];
        assert_eq!(dead["cause"]["code"], "EGRESS_DENIED", "{dead}");
        node.logged(&["weft::refused", "EGRESS_DENIED", &format!("target=\"{trigger}\""), "decision=d-"]).await;
    }
}

#[tokio::test]
async fn a_trigger_needs_the_right_to_leave_the_mesh_itself() {
    let sink = Sink::start().await;
    let url = format!("url: '{}'", sink.url("/hook"));
    let text = manifest::topic("orders", "")
        + &manifest::trigger("free", "orders", &url)
        + &manifest::trigger("bound", "orders", &url)
        + &manifest::policy(
            "stay",
            "action: DENY, targets: [ { trigger: bound } ], rules: [ { \
             from: [ { source: { principals: [ 'spiffe://weft.local/ns/default/trigger/bound' ] } } ], \
             to: [ { operation: { verbs: [ egress ] } } ] } ]",
        );
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("free", 1).await.in_state("delivered"), 1);
    assert_eq!(node.settled("bound", 1).await.in_state("denied"), 1);
    let dead = &node.dead("bound").await[0];
    assert_eq!(dead["cause"]["code"], "AUTHZ_DENY_RULE", "{dead}");
    node.logged(&["weft::refused", "AUTHZ_DENY_RULE", "default/stay", "verb=\"egress\"", "target=\"bound\""]).await;
    assert_eq!(sink.deliveries().len(), 1);
}

#[tokio::test]
async fn an_address_outside_learns_who_called_only_if_its_trigger_says_so() {
    let (quiet, told) = (Sink::start().await, Sink::start().await);
    let text = manifest::topic("orders", "")
        + &manifest::trigger("quiet", "orders", &format!("url: '{}'", quiet.url("/")))
        + &manifest::trigger("told", "orders", &format!("url: '{}', passIdentity: true", told.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    let mut forged = event("1", "t");
    forged["weftorigin"] = "spiffe://weft.local/ns/default/sa/admin".into();
    node.publish("orders", &forged).await;
    let names = ["x-weft-principal", "x-weft-origin", "ce-weftorigin"];
    let delivery = &told.received(1).await[0];
    for name in names {
        assert_eq!(delivery.header(name), Some("spiffe://weft.local/ns/default/sa/dev"), "{name}: {delivery:?}");
    }
    let delivery = &quiet.received(1).await[0];
    assert!(names.iter().all(|name| delivery.header(name).is_none()), "{delivery:?}");
}
