//! Calls to names of the mesh over real sockets: what leaves by the way out arrives as whom the node says it is, and only
//! where a node of the mesh proves to have the name.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use weft_eventlog::{Clock, SystemClock};
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_runtime::empty;

use super::*;
use crate::edge::Ambiguous;
use crate::edge::listener::{EdgeLimits, Handler, Listener};
use crate::edge::session::Peer;
use crate::edge::tls::authority::{Issued, files as folder};
use crate::edge::tls::bundle::pem;
use crate::edge::tls::keyring::Clients;
use crate::edge::tls::own::Own;
use crate::edge::tls::source::{Node, Source, Supply};
use crate::path::call::{Call, Outside, Reach, Target};
use crate::path::caller::Caller;
use crate::path::outcome::Reason;
use crate::path::record::Answer;
use crate::path::{Mesh, fixture, pipeline};
use crate::targets::upstream::Upstream;

const HOST: &str = "hello.shop.mesh.example";

/// Answers with the caller's id and the host that was asked for.
struct Who;

impl Handler for Who {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        let id = peer.certificate.as_ref().map_or("nobody", |certificate| certificate.id.as_str());
        let host = request.headers().get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        Response::new(Full::from(format!("{id} {host}")))
    }

    fn refuse(&self, _: Ambiguous, _: &Peer) -> Response<Full<Bytes>> {
        Response::new(Full::from("refused"))
    }
}

fn node(name: &str) -> Node {
    Node {
        trust_domain: "weft.local".parse().unwrap(),
        domain: "mesh.example".to_owned(),
        id: format!("spiffe://weft.local/node/{name}").parse().unwrap(),
    }
}

async fn supply(authority: &Path, name: &str) -> Supply {
    let source = Source::Authority(authority.to_owned());
    Supply::open(&source, &node(name), Arc::new(SystemClock)).await.unwrap()
}

fn authority(home: &Path, name: &str) -> PathBuf {
    let path = home.join(name);
    folder::init(&path, &node(name).trust_domain, SystemClock.now_ms()).unwrap();
    path
}

fn issue(authority: &Path, id: &str, names: &[&str]) -> Issued {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    folder::open(authority).unwrap().issue(&id.parse().unwrap(), &names, SystemClock.now_ms()).unwrap()
}

/// Listens on loopback until the token is dropped and cancelled.
async fn listening(keyring: Arc<Keyring>, clients: Clients) -> (u16, CancellationToken) {
    let listener = Listener::bind("127.0.0.1:0").await.unwrap().secured(keyring, clients).unwrap();
    let (port, shutdown) = (listener.local_addr().port(), CancellationToken::new());
    tokio::spawn(listener.serve(EdgeLimits::default(), Arc::new(Who), shutdown.clone()));
    (port, shutdown)
}

async fn call(mesh: &Arc<Mesh>, owner_kind: Kind, url: String) -> Answer {
    let mut request = http::Request::new(empty());
    *request.uri_mut() = url.parse().unwrap();
    let (host, port) = (request.uri().host().unwrap().into(), request.uri().port_u16().unwrap());
    let owner = "shop/caller".parse().unwrap();
    let outside = Outside { host, port, owner_kind, owner, reach: Ok(Reach::Public) };
    let call = Call {
        verb: Verb::Egress,
        target: Target::Outside(outside),
        caller: Caller::nobody(),
        request,
        deadline: Instant::now() + Duration::from_secs(20),
        hops: 1,
        cause: None,
        events: None,
    };
    pipeline::handle(mesh, call).await
}

async fn text(answer: Answer) -> String {
    assert_eq!(answer.outcome.failed(), None, "{:?}", answer.outcome.failure);
    let body = answer.response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}

fn reason(answer: &Answer) -> Option<Reason> {
    answer.outcome.failure.as_ref().map(|failure| failure.reason)
}

/// A node for which every name lies on loopback.
fn calling(here: &Supply) -> Arc<Mesh> {
    let upstream = Upstream::resolving_to(Ipv4Addr::LOCALHOST.into()).unwrap();
    fixture::mesh_with(upstream.within_mesh("mesh.example", node("here").trust_domain, here.outbound()))
}

#[tokio::test]
async fn a_name_of_the_mesh_is_called_by_who_reaches_out() {
    let home = tempfile::tempdir().unwrap();
    let ours = authority(home.path(), "ours");
    let (port, _shutdown) = listening(supply(&ours, "other").await.keyring(), Clients::MustProve).await;
    let mesh = calling(&supply(&ours, "here").await);
    let url = |host: &str| format!("https://{host}:{port}/a");
    for (kind, word) in [(Kind::Function, "fn"), (Kind::Trigger, "trigger")] {
        let told = text(call(&mesh, kind, url(HOST)).await).await;
        assert_eq!(told, format!("spiffe://weft.local/ns/shop/{word}/caller {HOST}:{port}"));
    }
    // By TLS only, and the addresses of other names are what they always are.
    let plain = call(&mesh, Kind::Function, format!("http://{HOST}:{port}/")).await;
    assert_eq!(reason(&plain), Some(Reason::EgressDenied));
    for other in ["hello.other.example", "mesh.example", "xmesh.example"] {
        let answer = call(&mesh, Kind::Function, url(other)).await;
        assert_eq!(reason(&answer), Some(Reason::EgressDenied), "{other} is public and lies on a loopback address");
    }
}

/// A server that proves to be no node of the mesh with the name that was called gets not a byte of the request.
#[tokio::test]
async fn who_does_not_prove_to_have_the_name_is_told_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (ours, theirs) = (authority(home.path(), "ours"), authority(home.path(), "theirs"));
    let here = supply(&ours, "here").await;
    let check = async |authority: &Path, id: &str, name: &str, expect: Option<Reason>| {
        let issued = issue(authority, id, &[name]);
        let keyring = Keyring::new(Arc::new(SystemClock));
        keyring.show(Own::given(issued.chain, &issued.key, keyring.now()).unwrap());
        let (port, _shutdown) = listening(keyring, Clients::Anonymous).await;
        let answer = call(&calling(&here), Kind::Function, format!("https://{HOST}:{port}/")).await;
        assert_eq!(reason(&answer), expect, "{id} {name}: {:?}", answer.outcome.failure);
    };
    let refused = Some(Reason::UpConnect);
    check(&ours, "spiffe://weft.local/node/other", HOST, None).await;
    check(&ours, "spiffe://weft.local/node/other", "*.shop.mesh.example", None).await;
    check(&ours, "spiffe://weft.local/node/other", "hello.till.mesh.example", refused).await;
    check(&ours, "spiffe://weft.local/ns/shop/sa/thief", HOST, refused).await;
    check(&ours, "spiffe://weft.local/ns/shop/fn/hello", HOST, refused).await;
    check(&theirs, "spiffe://weft.local/node/other", HOST, refused).await;
}

#[tokio::test]
async fn who_is_revoked_answers_no_more_on_a_connection_that_is_open() {
    let home = tempfile::tempdir().unwrap();
    let ours = authority(home.path(), "ours");
    let other = supply(&ours, "other").await.keyring();
    // The other node itself never looks at what is revoked, so that it is the caller who breaks off.
    let (port, _shutdown) = listening(Arc::clone(&other), Clients::Anonymous).await;
    let here = supply(&ours, "here").await;
    let (mesh, shutdown) = (calling(&here), CancellationToken::new());
    tokio::spawn(here.run(shutdown.clone()));
    let ask = async || {
        let answer = call(&mesh, Kind::Function, format!("https://{HOST}:{port}/")).await;
        let reason = reason(&answer);
        // Read to its end, the connection is used again.
        drop(answer.response.into_body().collect().await);
        reason
    };
    assert_eq!((ask().await, ask().await), (None, None));
    let shown = other.own().unwrap().for_name(Some(HOST), other.now()).cert[0].clone();
    folder::revoke(&ours, pem("CERTIFICATE", &shown).as_bytes(), SystemClock.now_ms()).unwrap();
    let begun = Instant::now();
    while ask().await.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(5), "still answered by who is revoked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(ask().await, Some(Reason::UpConnect));
    shutdown.cancel();
}

/// A server of other people's making, and where it listens. It wants a certificate and shows it on its page.
async fn openssl(home: &Path, ours: &Path) -> (Child, u16) {
    folder::write_issued(&home.join("node"), &issue(ours, "spiffe://weft.local/node/other", &[HOST])).unwrap();
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-tls1_3", "-Verify", "4", "-verify_return_error"]);
    command.args(["-cert", "node.crt", "-key", "node.key", "-CAfile", "ours/bundle.pem"]);
    command.current_dir(home).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let mut child = command.spawn().expect("openssl is missing: apt-get install openssl");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = timeout(Duration::from_secs(20), async {
        loop {
            let line = lines.next_line().await.unwrap().expect("openssl ended");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                return address.rsplit(':').next().unwrap().parse().unwrap();
            }
        }
    });
    let port = port.await.expect("openssl listens");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, port)
}

#[tokio::test]
async fn openssl_sees_the_identity_of_the_one_who_calls() {
    let home = tempfile::tempdir().unwrap();
    let ours = authority(home.path(), "ours");
    let (_server, port) = openssl(home.path(), &ours).await;
    let mesh = calling(&supply(&ours, "here").await);
    let page = text(call(&mesh, Kind::Function, format!("https://{HOST}:{port}/")).await).await;
    assert!(page.contains("URI:spiffe://weft.local/ns/shop/fn/caller"), "{page}");
    let theirs = authority(home.path(), "theirs");
    let stranger = calling(&supply(&theirs, "here").await);
    let answer = call(&stranger, Kind::Function, format!("https://{HOST}:{port}/")).await;
    assert_eq!(reason(&answer), Some(Reason::UpConnect), "{:?}", answer.outcome.failure);
}
