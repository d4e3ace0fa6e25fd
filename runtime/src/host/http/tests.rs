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
