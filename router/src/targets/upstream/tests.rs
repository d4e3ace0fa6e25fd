//! G-12: whatever a function writes, nothing is dialled that it does not list; what it lists is, once.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::Instant;
use weft_functions::function::AllowHost;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;
use weft_runtime::empty;

use super::*;
use crate::path::call::Target;
use crate::path::caller::{Caller, Proof, workload};
use crate::path::fixture;
use crate::path::outgoing::Sender;
use crate::path::record::Answer;
use crate::path::{Mesh, pipeline};

/// A resolver for which every name means this node, its network and a metadata service.
#[derive(Default)]
struct Liar {
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl Lookup for Liar {
    async fn lookup(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().expect("not poisoned").push(name.to_owned());
        let lies = ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"];
        Ok(lies.map(|lie| lie.parse().expect("an address")).into())
    }
}

/// Listens on every address of this machine, answers, and counts.
struct Canary {
    port: u16,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    async fn start() -> Self {
        // An IPv6 socket takes IPv4 too; a machine may have no IPv6.
        let anywhere: [SocketAddr; 2] = [([0_u16; 8], 0).into(), ([0_u8; 4], 0).into()];
        let listener = TcpListener::bind(&anywhere[..]).await.expect("a free port");
        let port = listener.local_addr().expect("the canary's address").port();
        let canary = Self { port, connections: Arc::default(), heads: Arc::default() };
        let (connections, heads) = (canary.connections.clone(), canary.heads.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let mut bytes = [0; 4096];
                let read = stream.read(&mut bytes).await.unwrap_or(0);
                heads.lock().expect("not poisoned").push(String::from_utf8_lossy(&bytes[..read]).into_owned());
                let _ = stream
                    .write_all(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n")
                    .await;
            }
        });
        canary
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn head(&self) -> String {
        self.heads.lock().expect("not poisoned").last().cloned().unwrap_or_default()
    }
}

fn mesh() -> (Arc<Mesh>, Arc<Liar>) {
    let liar = Arc::new(Liar::default());
    (fixture::mesh_with(Upstream::with(liar.clone()).expect("certificates")), liar)
}

fn function() -> Namespaced {
    "default/dialer".parse().expect("a name")
}

fn listed(entries: &[&str]) -> Vec<AllowHost> {
    entries.iter().map(|entry| entry.parse().unwrap_or_else(|error| panic!("{entry}: {error}"))).collect()
}

/// Calls as the function would; `None` if no URI can be made of the text, so that no guest can ask for it.
async fn call(mesh: &Arc<Mesh>, allow: &[AllowHost], url: &str) -> Option<Answer> {
    let uri: Uri = url.parse().ok()?;
    let mut request = http::Request::new(empty());
    *request.uri_mut() = uri;
    // A guest cannot set Host; were it able to, it would not count.
    request.headers_mut().insert(header::HOST, HeaderValue::from_static("forged.example"));
    let (mut head, body) = request.into_parts();
    let function = function();
    let routed = Sender { names: &mesh.names, function: &function, allow_hosts: allow, hops: 1 }.route(&mut head);
    assert_eq!(routed.verb, Verb::Egress, "{url}");
    let call = Call {
        verb: routed.verb,
        target: routed.target,
        caller: Caller::direct(workload("spiffe://weft.local/ns/default/fn/dialer"), Proof::Node),
        request: http::Request::from_parts(head, body),
        deadline: Instant::now() + Duration::from_secs(10),
        hops: 1,
        cause: None,
        events: None,
    };
    Some(pipeline::handle(mesh, call).await)
}

/// The hosts and whole addresses of `tests/vectors/addresses.json`.
fn spellings() -> (Vec<String>, Vec<String>) {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/vectors/addresses.json")).expect("JSON");
    let texts = |list: &serde_json::Value| -> Vec<String> {
        let list = list.as_array().expect("a list").iter();
        list.map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let groups = vectors["hosts"].as_object().expect("groups").values();
    (groups.flat_map(texts).collect(), texts(&vectors["urls"]))
}

fn reason(answer: &Answer) -> Option<Reason> {
    answer.outcome.failure.as_ref().map(|failure| failure.reason)
}

#[tokio::test]
async fn no_spelling_reaches_what_a_function_may_not_reach() {
    let canary = Canary::start().await;
    let (mesh, liar) = mesh();
    let port = canary.port.to_string();
    let (hosts, urls) = spellings();
    let hosted = hosts.iter().flat_map(|host| ["http", "https"].map(|scheme| format!("{scheme}://{host}:PORT/")));
    let urls: Vec<String> = hosted.chain(urls).collect();
    assert!(hosts.len() >= 150, "{}", hosts.len());
    // Each in turn: on no list; and its own text on the list, as far as the text is a name.
    let named = |host: &&str| host.parse::<AllowHost>().is_ok_and(|entry| entry.allows_name(host, 1));
    let names: Vec<&str> = hosts.iter().map(String::as_str).filter(named).collect();
    assert!(names.len() >= 20, "{names:?}");
    let mut reached = Vec::new();
    for url in urls.iter().map(|url| url.replace("PORT", &port)) {
        let asked = liar.asked.lock().expect("not poisoned").len();
        for (allow, looked_up) in [(listed(&["outside.example", "*.outside.example"]), false), (listed(&names), true)] {
            let before = canary.connections();
            let Some(answer) = call(&mesh, &allow, &url).await else { continue };
            match reason(&answer) {
                Some(Reason::EgressDenied | Reason::RequestAmbiguous) => {}
                other => reached.push(format!("{url:?} was answered {other:?}")),
            }
            if canary.connections() > before {
                reached.push(format!("{url:?} reached the canary"));
            }
            if !looked_up && liar.asked.lock().expect("not poisoned").len() > asked {
                reached.push(format!("{url:?} was looked up, and stands on no list"));
            }
        }
    }
    assert!(reached.is_empty(), "{}", reached.join("\n"));
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn a_listed_address_is_reached_and_no_other() {
    let canary = Canary::start().await;
    let (mesh, liar) = mesh();
    let url = |host: &str| format!("http://{host}:{}/a?b", canary.port);
    let own = format!("127.0.0.1:{}", canary.port);
    let check = async |allow: &[&str], host: &str, reaches: bool| {
        let before = canary.connections();
        let answer = call(&mesh, &listed(allow), &url(host)).await.expect("a url");
        assert_eq!(reason(&answer), (!reaches).then_some(Reason::EgressDenied), "{host} of {allow:?}");
        assert_eq!(canary.connections() - before, usize::from(reaches), "{host} of {allow:?}");
        if reaches {
            assert_eq!(answer.response.status(), 302, "a redirect is an answer");
            let head = canary.head();
            assert!(head.starts_with("GET /a?b HTTP/1.1\r\n"), "{head}");
            assert_eq!(head.matches("\r\nhost: ").count(), 1, "{head}");
            assert!(head.contains(&format!("\r\nhost: {host}:{}\r\n", canary.port)), "{head}");
        }
    };
    check(&["127.0.0.1"], "127.0.0.1", true).await;
    check(&[&own], "127.0.0.1", true).await;
    check(&["127.0.0.0/8"], "127.0.0.2", true).await;
    check(&["127.0.0.1"], "127.0.0.2", false).await;
    check(&["127.0.0.1:1"], "127.0.0.1", false).await;
    check(&["127.0.0.1"], "localhost", false).await;
    check(&["localhost", "127.0.0.1"], "localhost", false).await;
    check(&["10.0.0.0/8"], "127.0.0.1", false).await;
    assert_eq!(liar.asked.lock().expect("not poisoned").len(), 1, "the one name that was listed");
}

#[tokio::test]
async fn a_name_is_asked_for_once_and_only_checked_addresses_are_dialled() {
    let canary = Canary::start().await;
    let (mesh, liar) = mesh();
    let uri: Uri = format!("http://hook.example:{}/", canary.port).parse().expect("a uri");
    let outside = |reach| Outside {
        host: "hook.example".into(),
        port: canary.port,
        owner_kind: weft_functions::manifest::Kind::Trigger,
        owner: "default/hook".parse().expect("a name"),
        reach: Ok(reach),
    };
    let send = async |reach| {
        let mut request = http::Request::new(empty());
        *request.uri_mut() = uri.clone();
        let call = Call {
            verb: Verb::Deliver,
            target: Target::Outside(outside(reach)),
            caller: Caller::nobody(),
            request,
            deadline: Instant::now() + Duration::from_secs(10),
            hops: 0,
            cause: None,
            events: None,
        };
        pipeline::handle(&mesh, call).await
    };
    assert_eq!(reason(&send(Reach::Public).await), Some(Reason::EgressDenied));
    assert_eq!(canary.connections(), 0);
    // `weft dev`: of all the resolver's lies, loopback is what triggers may reach.
    assert_eq!(reason(&send(Reach::Loopback).await), None);
    assert_eq!(canary.connections(), 1);
    assert_eq!(*liar.asked.lock().expect("not poisoned"), ["hook.example", "hook.example"]);
}

#[tokio::test]
async fn what_was_judged_is_what_is_dialled() {
    let canary = Canary::start().await;
    let (mesh, _) = mesh();
    for (host, port) in [("127.0.0.2", canary.port), ("127.0.0.1", 1), ("localhost", canary.port)] {
        let mut request = http::Request::new(empty());
        *request.uri_mut() = format!("http://{host}:{port}/").parse().expect("a uri");
        let address = "127.0.0.1".parse().expect("an address");
        let outside = Outside {
            host: "127.0.0.1".into(),
            port: canary.port,
            owner_kind: weft_functions::manifest::Kind::Function,
            owner: function(),
            reach: Ok(Reach::Listed(address)),
        };
        let call = Call {
            verb: Verb::Egress,
            target: Target::Outside(outside),
            caller: Caller::nobody(),
            request,
            deadline: Instant::now() + Duration::from_secs(10),
            hops: 0,
            cause: None,
            events: None,
        };
        assert_eq!(reason(&pipeline::handle(&mesh, call).await), Some(Reason::Internal), "{host}:{port}");
    }
    assert_eq!(canary.connections(), 0);
}
