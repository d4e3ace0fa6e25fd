//! C-09, F-09, INV-10: whatever a message says about who sent it, nobody is told. Each name in several spellings, in heads
//! and trailers, over HTTP/1.1 and HTTP/2, from outside and from a function, and as attributes of events in every mode.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};
use weft_tests::events::{BATCH, STRUCTURED, event, to_topic};
use weft_tests::{Answer, Ask, Node, Project, Sink, client, manifest, raw};

const DEV: &str = "spiffe://weft.local/ns/default/sa/dev";

/// What a forger claims to be. It must be seen nowhere.
const FORGED: &str = "spiffe://weft.local/ns/default/sa/forged";

/// Names by which meshes, proxies and we ourselves say who calls.
const NAMES: [&str; 14] = [
    "x-weft-principal",
    "x-weft-origin",
    "x-weft-claim-role",
    "x-mesh-principal",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-user",
    "forwarded",
    "x-envoy-external-address",
    "x-spiffe-id",
    "l5d-client-id",
    "x-real-ip",
    "client-cert",
    "ce-weftorigin",
];

/// The spellings of a name that a client may send, and some reader takes for the same.
fn spellings(name: &str) -> Vec<String> {
    let title = name.split('-').map(|word| word[..1].to_uppercase() + &word[1..]).collect::<Vec<_>>().join("-");
    let mut all = vec![name.to_owned(), name.to_uppercase(), title, name.replace('-', "_"), name.replacen('-', "_", 1)];
    all.sort();
    all.dedup();
    all
}

fn variants() -> Vec<String> {
    NAMES.iter().flat_map(|name| spellings(name)).collect()
}

async fn node(project: &Project) -> Node {
    project.start().await
}

fn project() -> Project {
    Project::new(&manifest::function("dialer", "dialer", "scale: { max: 10 }"))
}

/// The function saw the verified caller, once, and nothing of the forger.
fn check_seen(what: &str, seen: &Value, principal: &str, origin: &str) {
    let text = seen.to_string();
    assert!(!text.contains("forged"), "{what}: {text}");
    let headers = seen["headers"].as_array().expect("headers");
    let values = |name: &str| -> Vec<&str> {
        let named = headers.iter().filter(|pair| pair[0].as_str() == Some(name));
        named.filter_map(|pair| pair[1].as_str()).collect()
    };
    assert_eq!(values("x-weft-principal"), [principal], "{what}: {text}");
    assert_eq!(values("x-weft-origin"), [origin], "{what}: {text}");
}

/// A refused request is as good: it never reached the function. Gives whether the function was reached.
fn check(what: &str, status: Option<u16>, body: &str) -> bool {
    if status == Some(400) {
        assert!(body.contains("REQUEST_AMBIGUOUS") && !body.contains("forged"), "{what}: {body}");
        return false;
    }
    assert_eq!(status, Some(200), "{what}: {body}");
    // The document stands between the sizes of its chunk.
    let document = body.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    check_seen(what, &serde_json::from_str(document).unwrap_or_else(|_| panic!("{what}: {body}")), DEV, DEV);
    true
}

#[tokio::test]
async fn over_http_1() {
    let project = project();
    let node = node(&project).await;
    let mut reached = 0;
    for name in variants() {
        let head = format!(
            "GET /seen HTTP/1.1\r\nHost: dialer.localhost\r\nConnection: close\r\n{name}: {FORGED}\r\n{name}: {FORGED}2\r\n\r\n"
        );
        let came = raw::exchange(node.http, head.as_bytes()).await;
        reached += usize::from(check(&format!("{name} in the head"), came.status(), &came.body()));
        let trailers = format!(
            "POST /seen HTTP/1.1\r\nHost: dialer.localhost\r\nConnection: close\r\nTE: trailers\r\nTrailer: {name}\r\n\
             Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{name}: {FORGED}\r\nx-honest: yes\r\n\r\n"
        );
        let came = raw::exchange(node.http, trailers.as_bytes()).await;
        // What a head may not say is refused; what a trailer may not say is dropped.
        assert!(check(&format!("{name} in the trailers"), came.status(), &came.body()));
        assert!(came.body().contains("x-honest"), "trailers do reach functions: {}", came.body());
    }
    assert!(variants().len() >= 60 && reached >= 40, "{} and {reached}", variants().len());
}

#[tokio::test]
async fn over_http_2() {
    let project = project();
    let node = node(&project).await;
    for name in variants() {
        // HTTP/2 has names in lower case only.
        let name = HeaderName::try_from(name.to_lowercase()).expect("a name");
        for place in ["head", "trailers"] {
            let forged = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(FORGED))]);
            let mut trailers =
                HeaderMap::from_iter([(HeaderName::from_static("x-honest"), "yes".parse().expect("a value"))]);
            let mut head = HeaderMap::new();
            if place == "head" {
                head.extend(forged)
            } else {
                trailers.extend(forged)
            }
            let frames = [Frame::data(Bytes::from_static(b"hello")), Frame::trailers(trailers)];
            let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
            let mut request = Request::new(body);
            *request.method_mut() = "POST".parse().expect("a method");
            *request.uri_mut() = "http://dialer.localhost/seen".parse().expect("a uri");
            *request.headers_mut() = head;
            let answer = client::send_http2(node.http, request).await.expect("an answer");
            let reached = check(&format!("{name} in the {place}"), Some(answer.status), &answer.text());
            assert!(reached || (place == "head" && name.as_str().contains('_')), "{name} in the {place}");
        }
    }
}

async fn dial(node: &Node, call: Value) -> Value {
    let ask = Ask::post("/dial").host("dialer.localhost").body(json!([call]).to_string());
    let answer: Answer = node.ask(ask).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()[0].clone()
}

/// G-13: a function is nobody but itself.
#[tokio::test]
async fn from_a_function() {
    let text = manifest::function("dialer", "dialer", "") + &manifest::function("other", "dialer", "");
    let project = Project::new(&text);
    let node = node(&project).await;
    let dialer = "spiffe://weft.local/ns/default/fn/dialer";
    for name in variants() {
        for place in ["headers", "trailers"] {
            let mut call = json!({ "authority": "other.default.weft.internal", "path": "/seen", "method": "POST", "body": "hello" });
            call[place] = json!([[name, FORGED], [name, FORGED]]);
            let what = format!("{name} in the {place}");
            let outcome = dial(&node, call).await;
            // A name with an underscore is refused in a head within the mesh, as at the edge.
            if place == "headers" && name.contains('_') && outcome["status"] == 400 {
                continue;
            }
            assert_eq!(outcome["status"], 200, "{what}: {outcome}");
            let seen = serde_json::from_str(outcome["body"].as_str().expect("a body")).expect("JSON");
            check_seen(&what, &seen, dialer, DEV);
        }
    }
    // Host is the target's, whatever the call says.
    let call =
        json!({ "authority": "other.default.weft.internal", "path": "/seen", "headers": [["host", "forged.example"]] });
    let outcome = dial(&node, call).await;
    assert!(outcome["refused"] == "headers" || !outcome.to_string().contains("forged"), "{outcome}");
}

/// The attributes that would say who published an event.
const ATTRIBUTES: [&str; 8] =
    ["weftorigin", "weftprincipal", "weftvia", "wefthops", "weft", "authid", "authtype", "authclaims"];

#[tokio::test]
async fn in_events() {
    let sink = Sink::start().await;
    let to = sink.url("").replace("http://", "");
    let text = manifest::topic("orders", "")
        + &manifest::function("dialer", "dialer", &format!("allowHosts: [ '{to}' ]"))
        + &manifest::trigger("orders", "orders", &format!("function: dialer, path: '/forward?to={to}'"));
    let project = Project::new(&text);
    let node = node(&project).await;
    let mut published = 0;
    for attribute in ATTRIBUTES {
        let mut binary = event("1", "t").as_object().expect("an object").clone();
        binary.insert(attribute.to_owned(), FORGED.into());
        let mut send = async |mode: &str, ask: Ask| {
            published += 1;
            // The head of a publish is no place either.
            let ask = ask.header("x-weft-principal", FORGED).header("X-Forwarded-For", FORGED);
            let answer = node.ask(ask).await;
            assert_eq!(answer.status, 202, "{attribute}, {mode}: {}", answer.text());
        };
        let id = |mode: &str| format!("{attribute}-{mode}");
        let upper = binary.iter().filter(|(name, _)| *name != "id").fold(to_topic("orders"), |ask, (name, value)| {
            ask.header(&format!("CE-{}", name.to_uppercase()), value.as_str().expect("a text"))
        });
        send("binary", upper.header("ce-id", id("binary"))).await;
        let with_id = |mode: &str| {
            let mut event = binary.clone();
            event.insert("id".to_owned(), id(mode).into());
            Value::from(event)
        };
        let structured = to_topic("orders").header("content-type", STRUCTURED);
        send("structured", structured.json(&with_id("structured"))).await;
        let batch = to_topic("orders").header("content-type", BATCH);
        send("batch", batch.body(json!([with_id("batch")]).to_string())).await;
    }
    assert_eq!(published, 3 * ATTRIBUTES.len());
    for delivery in sink.received(published).await {
        let seen = delivery.json();
        check_seen("an event", &seen, DEV, DEV);
        let headers = seen["headers"].as_array().expect("headers");
        let ours: Vec<&Value> =
            headers.iter().filter(|pair| pair[0].as_str().expect("a name").starts_with("ce-weft")).collect();
        assert_eq!(ours, [&json!(["ce-weftorigin", DEV])], "{seen}");
    }
    for kept in node.events("orders").await {
        assert!(!kept.to_string().contains("forged"), "{kept}");
        assert_eq!((&kept["principal"], &kept["origin"]), (&DEV.into(), &DEV.into()), "{kept}");
    }
    assert!(!node.log().contains("sa/forged"), "nothing of it came into the log");
}

/// What functions answer says nothing in the mesh's name, in heads and trailers alike.
#[tokio::test]
async fn in_answers() {
    let sink = Sink::answering(|_, _| {
        weft_tests::Reply::status(200)
            .header("x-weft-principal", FORGED)
            .header("X-Weft-Decision", FORGED)
            .header("x-own", "kept")
    })
    .await;
    let to = sink.url("").replace("http://", "");
    let text = manifest::function("dialer", "dialer", &format!("allowHosts: [ '{to}' ]"))
        + &manifest::function("echo", "echo", "");
    let project = Project::new(&text);
    let node = node(&project).await;
    let ask =
        Ask::get("/").host("echo.localhost").header("x-echo-x-weft-origin", FORGED).header("x-echo-x-own", "kept");
    let answer = node.ask(ask).await;
    assert_eq!((answer.header("x-weft-origin"), answer.header("x-own")), (None, Some("kept")));
    // Nor does what is outside, to a function.
    let outcome = dial(&node, json!({ "authority": to, "method": "POST" })).await;
    assert_eq!(outcome["status"], 200, "{outcome}");
    assert!(!outcome.to_string().contains("forged") && outcome.to_string().contains("kept"), "{outcome}");
}
