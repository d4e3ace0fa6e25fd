//! Raw sockets against a real listener: A-01, A-03, A-06, A-08 to A-14, drain, panics, HTTP/2.

mod vectors;

use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::edge::body::{BodyLimits, RequestBody};
use crate::path::canonical::canonicalise;

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(20);

/// Answers with method, path and body length; does what some paths ask for.
struct Echo {
    /// Requests that were handed over, and whose body was whole.
    whole: AtomicUsize,
    /// Requests to `/wait` end when there is a permit.
    gate: Semaphore,
    waiting: AtomicUsize,
    /// Whether heads must be canonical; off where only framing is looked at.
    canonical: bool,
    body: BodyLimits,
}

impl Handler for Echo {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        if self.canonical
            && let Err(why) = canonicalise(&head)
        {
            return self.refuse(why, peer);
        }
        match head.uri.path() {
            "/wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.gate.acquire().await.unwrap().forget();
            }
            "/panic" => panic!("asked to"),
            "/big" => return Response::new(Full::from(vec![0; 16 * 1024 * 1024])),
            _ => {}
        }
        let read = match RequestBody::new(body, self.body) {
            Ok(body) => body.collect().await,
            Err(fault) => Err(fault),
        };
        match read {
            Ok(body) => {
                self.whole.fetch_add(1, Ordering::SeqCst);
                let length = body.to_bytes().len();
                Response::new(Full::from(format!("[{} {} {length}]", head.method, head.uri.path())))
            }
            Err(fault) => {
                let mut response = Response::new(Full::from(fault.to_string()));
                *response.status_mut() = fault.status();
                response
            }
        }
    }

    fn refuse(&self, why: Ambiguous, _peer: &Peer) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(format!(r#"{{"title":"{}"}}"#, why.what)));
        *response.status_mut() = why.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response.headers_mut().insert("x-weft-decision", HeaderValue::from_static("d-test"));
        response
    }
}

struct Server {
    addr: SocketAddr,
    handler: Arc<Echo>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

async fn start(limits: EdgeLimits, canonical: bool) -> Server {
    let body =
        BodyLimits { grace: Duration::from_millis(300), idle: Duration::from_millis(600), ..BodyLimits::default() };
    let handler = Arc::new(Echo {
        whole: AtomicUsize::new(0),
        gate: Semaphore::new(0),
        waiting: AtomicUsize::new(0),
        canonical,
        body,
    });
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let (addr, shutdown) = (listener.local_addr(), CancellationToken::new());
    let task = tokio::spawn(listener.serve(limits, Arc::clone(&handler), shutdown.clone()));
    Server { addr, handler, shutdown, task }
}

/// Limits under which a connection with nothing to do ends in a test's time.
fn quick() -> EdgeLimits {
    EdgeLimits { idle: Duration::from_millis(900), ..EdgeLimits::default() }
}

/// Polls a condition until it holds; fails after [`DEADLINE`].
async fn eventually(mut condition: impl FnMut() -> bool) {
    timeout(DEADLINE, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// Sends bytes and reads until the server closes.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_all(stream).await
}

async fn read_all(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is an end too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
    String::from_utf8_lossy(&answer).into_owned()
}

/// The statuses of a connection's answers, in order.
fn statuses(answer: &str) -> Vec<u16> {
    answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)?.parse().ok()).collect()
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_refused_head_is_answered_by_us_and_closes() {
    let server = start(EdgeLimits::default(), true).await;
    let answer = exchange(
        server.addr,
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("content-type: application/problem+json\r\n"), "{answer}");
    assert!(answer.contains("x-weft-decision: d-test\r\n"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"title":"content-length stands beside transfer-encoding"}"#), "{answer}");
    assert_eq!(server.handler.whole.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn requests_before_a_refused_head_are_served_first() {
    let server = start(EdgeLimits::default(), true).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let bad = "GET /b HTTP/1.1\r\nHost: a\r\nX: y\n\r\n";
    let wait = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(format!("{wait}{bad}{GET}").as_bytes()).await.unwrap();
    eventually(|| server.handler.waiting.load(Ordering::SeqCst) == 1).await;
    server.handler.gate.add_permits(1);
    let answer = read_all(stream).await;
    assert_eq!(statuses(&answer), [200, 400], "{answer}");
    assert!(answer.contains("[GET /wait 0]"), "{answer}");
    assert_eq!(server.handler.whole.load(Ordering::SeqCst), 1);
}

/// A-08 to A-10, A-12: each as first request, and after a sound one on the same connection; in one piece, and cut at
/// every offset of the bad head's end.
#[tokio::test]
async fn ambiguous_bytes_never_become_a_request() {
    let server = start(quick(), true).await;
    let post = |fields: &str, body: &str| format!("POST /b HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut rows = vec![
        (400, post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (400, post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n")),
        (400, post("Content-Length: 0\r\nContent-Length: 38\r\n", "")),
        (400, post("Content-Length: 0\r\nContent-Length: 0\r\n", "")),
        (400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n")),
        (400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\nHost: a\n\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n folded\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".to_owned()),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n".to_owned()),
        (400, "GET /\r\n\r\n".to_owned()),
        (400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned()),
        (414, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(64 * 1024))),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(1024 * 1024))),
        (431, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(10_000))),
    ];
    for value in ["+4", "4,4", "4, 4", " 4", "0x4", "4 4", "", "18446744073709551616"] {
        rows.push((400, post(&format!("Content-Length: {value}\r\n"), "abcd")));
    }
    for value in ["chunked, identity", "xchunked", "\tchunked", "identity", "chunked ", "gzip, chunked"] {
        rows.push((400, post(&format!("Transfer-Encoding: {value}\r\n"), "0\r\n\r\n")));
    }
    for chunks in ["g\r\n", "1\na", "1;\r\na\r\n", "0\r\nX: y\n\r\n", "ffffffffffffffff1\r\n", "1\r\nab", "0\r\n\n"] {
        rows.push((400, post("Transfer-Encoding: chunked\r\n", chunks)));
    }
    for (status, row) in rows {
        let bytes = format!("{row}{smuggled}");
        let shown = &row[..row.len().min(120)];
        assert_eq!(statuses(&exchange(server.addr, bytes.as_bytes()).await), [status], "{shown:?}");
        let after = format!("{GET}{bytes}");
        assert_eq!(statuses(&exchange(server.addr, after.as_bytes()).await), [200, status], "{shown:?}");
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (first, rest) = bytes.as_bytes().split_at(shown.len() / 2);
        stream.write_all(first).await.unwrap();
        tokio::task::yield_now().await;
        let _ = stream.write_all(rest).await;
        assert_eq!(statuses(&read_all(stream).await), [status], "cut: {shown:?}");
    }
}

/// What hyper parses and canonicalise refuses, through the same sockets.
#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let server = start(quick(), true).await;
    let check = async |head: &str, status: u16| {
        let answer = exchange(server.addr, format!("{head}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{head:?}: {answer}");
    };
    check("GET / HTTP/1.1", 400).await;
    check("GET / HTTP/1.1\r\nHost:", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a", 400).await;
    check("GET / HTTP/1.1\r\nHost: u@a", 400).await;
    check("GET http://b/ HTTP/1.1\r\nHost: a", 400).await;
    check("GET http://a/ HTTP/1.1\r\nHost: a", 200).await;
    check("GET /x/%2e%2e/admin HTTP/1.1\r\nHost: a", 400).await;
    check("GET //admin HTTP/1.1\r\nHost: a", 400).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nx_a: 1", 400).await;
    check("OPTIONS * HTTP/1.1\r\nHost: a", 400).await;
    check("TRACE / HTTP/1.1\r\nHost: a", 405).await;
    check("CONNECT a:443 HTTP/1.1\r\nHost: a:443", 501).await;
    check("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c", 501).await;
    // What follows is meant for another protocol and is not read as a request.
    for head in ["CONNECT a:443 HTTP/1.1\r\nHost: a:443", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x"] {
        let answer = exchange(server.addr, format!("{head}\r\n\r\n{GET}").as_bytes()).await;
        assert_eq!(statuses(&answer), [501], "{answer}");
    }
    assert_eq!(server.handler.whole.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn sound_connections_stay_open() {
    let server = start(quick(), true).await;
    let chunked =
        "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n";
    let sized = "POST /s HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd\r\n";
    let last = "GET /z HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = format!("{GET}{chunked}{sized}{chunked}{last}");
    let answer = exchange(server.addr, all.as_bytes()).await;
    assert_eq!(statuses(&answer), [200; 5], "{answer}");
    assert!(answer.contains("[POST /c 5]") && answer.contains("[POST /s 4]"), "{answer}");
    // The same one byte at a time: 300 writes, none of which is a message by itself.
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in all.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(statuses(&read_all(stream).await), [200; 5]);
}

/// A-01: bytes that keep coming do not move the head's deadline.
#[tokio::test]
async fn slow_heads_are_ended() {
    let server = start(EdgeLimits { head: Duration::from_millis(500), ..quick() }, true).await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let drip = tokio::spawn(async move {
        let _ = write.write_all(b"GET / HTTP/1.1\r\nX: ").await;
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let started = Instant::now();
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, read.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(statuses(&String::from_utf8_lossy(&answer)), [408]);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drip.abort();
    // Silence from the start, and after an answer, is no error.
    assert_eq!(exchange(server.addr, b"").await, "");
    assert_eq!(statuses(&exchange(server.addr, GET.as_bytes()).await), [200]);
    // Neither is half of an HTTP/2 preface, but it ends too.
    assert_eq!(exchange(server.addr, b"PRI * HTTP/2").await, "");
}

/// A-03.
#[tokio::test]
async fn slow_bodies_are_ended() {
    let server = start(quick(), true).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n";
    assert_eq!(statuses(&exchange(server.addr, head.as_bytes()).await), [408]);
    assert_eq!(statuses(&exchange(server.addr, format!("{head}abc").as_bytes()).await), [408]);
    let large = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n";
    assert_eq!(statuses(&exchange(server.addr, large.as_bytes()).await), [413]);
}

/// A-04.
#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut() {
    let server = start(EdgeLimits { write_stall: Duration::from_millis(300), ..quick() }, true).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    server.shutdown.cancel();
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() < 16 * 1024 * 1024, "all of it came");
}

#[tokio::test]
async fn connections_per_source_are_limited() {
    let server = start(EdgeLimits { per_source: 2, ..EdgeLimits::default() }, true).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(GET.as_bytes()).await.unwrap();
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    assert_eq!(exchange(server.addr, b"").await, "");
    held.clear();
    let served = async {
        loop {
            let mut stream = TcpStream::connect(server.addr).await.unwrap();
            let sent = stream.write_all(GET.as_bytes()).await;
            if sent.is_ok() && stream.read_u8().await.is_ok() {
                break;
            }
        }
    };
    timeout(DEADLINE, served).await.unwrap();
}

#[tokio::test]
async fn connections_over_the_limit_wait_their_turn() {
    let server = start(EdgeLimits { connections: 1, ..quick() }, true).await;
    let mut first = TcpStream::connect(server.addr).await.unwrap();
    first.write_all(GET.as_bytes()).await.unwrap();
    first.read_u8().await.unwrap();
    let second = tokio::spawn(async move { exchange(server.addr, GET.as_bytes()).await });
    drop(first);
    assert_eq!(statuses(&second.await.unwrap()), [200]);
}

/// A-14: a failing accept waits longer each time, up to a second.
#[tokio::test(start_paused = true)]
async fn a_failing_accept_does_not_spin() {
    let (mut pause, started, mut tries) = (None, Instant::now(), 0);
    while started.elapsed() < Duration::from_secs(10) {
        let next = Pause::after(pause);
        sleep_until(next.until).await;
        pause = Some(next);
        tries += 1;
    }
    assert!((10..20).contains(&tries), "{tries} tries in ten seconds");
}

#[tokio::test]
async fn a_panic_ends_one_connection_only() {
    let server = start(quick(), true).await;
    let answer = exchange(server.addr, b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answer, "");
    assert_eq!(statuses(&exchange(server.addr, GET.as_bytes()).await), [200]);
}

#[tokio::test]
async fn shutdown_lets_requests_finish() {
    let server = start(EdgeLimits::default(), true).await;
    let mut busy = TcpStream::connect(server.addr).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    idle.write_all(GET.as_bytes()).await.unwrap();
    idle.read_u8().await.unwrap();
    eventually(|| server.handler.waiting.load(Ordering::SeqCst) == 1).await;
    server.shutdown.cancel();
    assert_eq!(statuses(&format!("H{}", read_all(idle).await)), [200]);
    assert!(TcpStream::connect(server.addr).await.is_err(), "still accepting");
    assert!(!server.task.is_finished());
    server.handler.gate.add_permits(1);
    assert_eq!(statuses(&read_all(busy).await), [200]);
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_finish() {
    let server = start(EdgeLimits { drain: Duration::from_millis(200), ..EdgeLimits::default() }, true).await;
    let mut busy = TcpStream::connect(server.addr).await.unwrap();
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    eventually(|| server.handler.waiting.load(Ordering::SeqCst) == 1).await;
    server.shutdown.cancel();
    timeout(DEADLINE, server.task).await.unwrap().unwrap();
    assert_eq!(read_all(busy).await, "");
}

/// HTTP/2 by prior knowledge: served, judged, idle connections ended, panics kept to their stream.
#[tokio::test]
async fn http2() {
    let server = start(quick(), true).await;
    let stream = TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut client, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut send = async |target: &str, header: (&str, &str)| {
        let request = Request::get(target).header(header.0, header.1).body(Full::new(Bytes::new())).unwrap();
        client.send_request(request).await.map(|response| response.status().as_u16())
    };
    let plain = ("x-a", "b");
    assert_eq!(send("http://a/x", plain).await.unwrap(), 200);
    assert_eq!(send("http://a/x", ("host", "a")).await.unwrap(), 200);
    assert_eq!(send("http://a/x", ("host", "b")).await.unwrap(), 400);
    assert_eq!(send("http://a/x/%2e%2e/admin", plain).await.unwrap(), 400);
    assert_eq!(send("http://a/x", ("x_a", "b")).await.unwrap(), 400);
    assert!(send("http://a/panic", plain).await.is_err());
    assert_eq!(send("http://a/x", plain).await.unwrap(), 200);
    assert_eq!(send("http://a/x", ("te", "trailers")).await.unwrap(), 200);
    timeout(DEADLINE, connection).await.expect("an idle connection is ended").unwrap().unwrap();
    assert_eq!(server.handler.whole.load(Ordering::SeqCst), 4);
}
