//! Header filtering as a table, and the cap on outgoing calls.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs.iter().map(|(k, v)| (k.parse::<HeaderName>().unwrap(), v.parse().unwrap())).collect()
}

#[track_caller]
fn check(strip: fn(&mut HeaderMap), given: &[(&str, &str)], left: &[&str]) {
    let mut map = headers(given);
    strip(&mut map);
    let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, left, "{given:?}");
}

#[test]
fn hop_by_hop_fields_never_leave_with_a_head() {
    check(strip_head, &[("content-type", "a/b"), ("x-a", "1")], &["content-type", "x-a"]);
    check(strip_head, &[("connection", "close"), ("keep-alive", "1"), ("te", "trailers")], &[]);
    check(strip_head, &[("transfer-encoding", "chunked"), ("upgrade", "h2c"), ("host", "a")], &[]);
    check(strip_head, &[("connection", "x-a, X-B"), ("x-a", "1"), ("x-b", "1"), ("x-c", "1")], &["x-c"]);
    check(strip_head, &[("proxy-connection", "x"), ("content-length", "3")], &["content-length"]);
}

#[test]
fn trailers_carry_neither_framing_nor_connection_fields() {
    check(strip_trailers, &[("grpc-status", "0"), ("content-length", "3"), ("te", "x")], &["grpc-status"]);
    check(strip_trailers, &[("trailer", "x"), ("transfer-encoding", "chunked"), ("content-type", "a/b")], &[]);
}

fn no_body() -> WasiBody {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Counts calls in flight and holds them until told.
struct Gate {
    now: AtomicUsize,
    most: AtomicUsize,
    open: Notify,
}

#[async_trait]
impl Outbound for Gate {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.open.notified().await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(Response::new(crate::empty()))
    }
}

#[tokio::test]
async fn eight_outgoing_calls_are_in_flight_and_the_others_wait() {
    let gate = Arc::new(Gate { now: AtomicUsize::new(0), most: AtomicUsize::new(0), open: Notify::new() });
    let mut hooks = Hooks::new(gate.clone());
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let call = hooks.send_request(Request::new(no_body()), None, Box::new(async { Ok(()) }));
            tokio::spawn(async move { Box::into_pin(call).await.map(|_| ()) })
        })
        .collect();
    while calls.iter().any(|call| !call.is_finished()) {
        gate.open.notify_one();
        tokio::task::yield_now().await;
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), limits::OUTBOUND_MAX);
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

/// Never answers.
struct Silence;

#[async_trait]
impl Outbound for Silence {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn the_guests_first_byte_timeout_is_enforced() {
    let options = RequestOptions { first_byte_timeout: Some(Duration::from_secs(3)), ..RequestOptions::default() };
    let slots = Arc::new(Semaphore::new(1));
    let result = send(Arc::new(Silence), slots, Request::new(no_body()), options).await;
    assert!(matches!(result, Err(Error::HttpResponseTimeout)));
}

/// Does I/O, as every real one.
struct Dials;

#[async_trait]
impl Outbound for Dials {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        let bound = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        bound.map(|_| Response::new(crate::empty())).map_err(|error| OutboundError::Internal(error.to_string()))
    }
}

#[test]
fn an_outgoing_call_of_a_heavy_guest_runs_where_the_invocation_came_from() {
    let serving = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let guests = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut hooks = serving.block_on(async { Hooks::new(Arc::new(Dials)) });
    let response = guests.block_on(async {
        let call = hooks.send_request(Request::new(no_body()), None, Box::new(async { Ok(()) }));
        Box::into_pin(call).await.map(|(response, _)| response.status())
    });
    assert_eq!(response.unwrap(), 200);
}

/// Says when it is given up.
struct Waits(Arc<Notify>);

struct TellsWhenDropped(Arc<Notify>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[async_trait]
impl Outbound for Waits {
    async fn send(&self, _: Request<Body>, _: OutboundTimeouts) -> Result<Response<Body>, OutboundError> {
        let _tells = TellsWhenDropped(self.0.clone());
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_outgoing_call_ends_with_its_guest() {
    let dropped = Arc::new(Notify::new());
    let mut hooks = Hooks::new(Arc::new(Waits(dropped.clone())));
    let call = hooks.send_request(Request::new(no_body()), None, Box::new(async { Ok(()) }));
    tokio::task::yield_now().await;
    drop(call);
    tokio::time::timeout(Duration::from_secs(5), dropped.notified()).await.expect("it is dropped");
}
