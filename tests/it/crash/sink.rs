//! The receiver of the triggers `all` and `even`: answers 200 to everything and records which event came in which run of
//! the node. It outlives the nodes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::event::{Id, SOURCE};

/// How long the connections of a node that was killed may take to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Descriptions of corrupted deliveries that are kept.
const CORRUPTED_MAX: usize = 100;
/// The path that is not a trigger's.
const BARRIER: &str = "/barrier";

/// In which runs of the node an event came, in order.
pub(super) type Deliveries = BTreeMap<Id, Vec<usize>>;

/// What came.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    /// For the trigger `all`.
    pub(super) all: Deliveries,
    /// For the trigger `even`.
    pub(super) even: Deliveries,
    /// What was not as it was sent.
    pub(super) corrupted: Vec<String>,
}

/// The receiver.
pub(super) struct Sink {
    pub(super) addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    run: AtomicUsize,
    open: watch::Sender<usize>,
    received: Mutex<Received>,
}

impl Shared {
    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { run: AtomicUsize::new(0), open: watch::Sender::new(0), received: Mutex::default() });
        tokio::spawn(accept(listener, shared.clone()));
        Self { addr, shared }
    }

    /// Deliveries on connections from now on belong to this run.
    pub(super) fn begin(&self, run: usize) {
        self.shared.run.store(run, Ordering::SeqCst);
    }

    /// Waits until everything that a dead node had sent is recorded: connections are accepted in order, so once a later
    /// one is answered, all of the node's are known; then they have to end.
    pub(super) async fn quiet(&self) {
        let quiet = async {
            let mut stream = TcpStream::connect(self.addr).await.expect("the sink");
            let request = format!("GET {BARRIER} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("the sink");
            stream.read_to_end(&mut Vec::new()).await.expect("the sink");
            self.shared.open.subscribe().wait_for(|open| *open == 0).await.expect("the sink");
        };
        tokio::time::timeout(PATIENCE, quiet).await.expect("connections of a killed node stay open");
    }

    pub(super) fn received(&self) -> Received {
        self.shared.received().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        let (run, shared) = (shared.run.load(Ordering::SeqCst), shared.clone());
        shared.open.send_modify(|open| *open += 1);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(request, run, shared.clone()));
            // It breaks off when the node is killed.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
            shared.open.send_modify(|open| *open -= 1);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    run: usize,
    shared: Arc<Shared>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    // A delivery that broke off was not made.
    let body = body.collect().await?.to_bytes();
    if head.method == http::Method::POST {
        record(&mut shared.received(), head.uri.path(), &head.headers, &body, run);
    }
    Ok(Response::new(Empty::new()))
}

fn record(received: &mut Received, path: &str, headers: &HeaderMap, body: &[u8], run: usize) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id: Result<Id, _> = text("ce-id").parse();
    let as_sent = id.as_ref().is_ok_and(|id| {
        let attributes = text("ce-specversion") == "1.0" && text("ce-source") == SOURCE && text("ce-type") == id.ty();
        attributes && text("content-type") == "application/octet-stream" && body == id.payload()
    });
    let deliveries = match path {
        "/all" => &mut received.all,
        _ => &mut received.even,
    };
    match id {
        Ok(id) if as_sent => deliveries.entry(id).or_default().push(run),
        _ if received.corrupted.len() < CORRUPTED_MAX => {
            let len = body.len();
            received.corrupted.push(format!("{path}, run {run}: {headers:?}, {len} bytes of data"));
        }
        _ => {}
    }
}
