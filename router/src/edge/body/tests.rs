//! Slow, large and broken bodies, on paused time.

use std::collections::VecDeque;

use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::*;

/// Gives each frame after a wait.
struct Script {
    steps: VecDeque<(Duration, Frame<Bytes>)>,
    wait: Option<Pin<Box<Sleep>>>,
    announced: SizeHint,
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((delay, _)) = self.steps.front() else { return Poll::Ready(None) };
        let until = Instant::now() + *delay;
        let wait = self.wait.get_or_insert_with(|| Box::pin(sleep_until(until)));
        std::task::ready!(wait.as_mut().poll(cx));
        self.wait = None;
        Poll::Ready(self.steps.pop_front().map(|(_, frame)| Ok(frame)))
    }

    fn size_hint(&self) -> SizeHint {
        self.announced
    }
}

/// `steps`: seconds to wait, then bytes to send.
fn script(steps: &[(u64, usize)]) -> Script {
    let step = |(wait, len): &(u64, usize)| (Duration::from_secs(*wait), Frame::data(Bytes::from(vec![0; *len])));
    Script { steps: steps.iter().map(step).collect(), wait: None, announced: SizeHint::default() }
}

fn limits() -> BodyLimits {
    BodyLimits { max_bytes: 10_000, ..BodyLimits::default() }
}

async fn check(steps: &[(u64, usize)], expect: Result<usize, u16>) {
    let started = Instant::now();
    let body = RequestBody::new(script(steps), limits()).unwrap();
    let read = body.collect().await.map(|b| b.to_bytes().len()).map_err(|e| e.status().as_u16());
    assert_eq!(read, expect, "{steps:?} after {:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn slow_bodies_end() {
    check(&[], Ok(0)).await;
    check(&[(0, 10), (0, 10)], Ok(20)).await;
    // The first byte may take its time: a gRPC client opens a stream and thinks.
    check(&[(14, 10)], Ok(10)).await;
    check(&[(16, 10)], Err(408)).await;
    // After it, five seconds of waiting are free, and each KiB buys one more.
    check(&[(0, 1), (4, 1)], Ok(2)).await;
    check(&[(0, 1), (3, 1), (3, 1)], Err(408)).await;
    check(&[(0, 4096), (8, 1)], Ok(4097)).await;
    check(&[(0, 4096), (10, 1)], Err(408)).await;
    check(&[(14, 1), (4, 1)], Ok(2)).await;
    // One byte every ten seconds.
    check(&[(10, 1); 100], Err(408)).await;
    // A big start does not buy silence.
    check(&[(0, 9000), (6, 1), (6, 1)], Ok(9002)).await;
    check(&[(0, 9000), (16, 1)], Err(408)).await;
    check(&[(1, 1024); 9], Ok(9216)).await;
}

#[tokio::test(start_paused = true)]
async fn dripping_ends_within_fifteen_seconds() {
    let started = Instant::now();
    let body = RequestBody::new(script(&[(0, 1), (10, 1), (10, 1)]), limits()).unwrap();
    assert!(matches!(body.collect().await, Err(BodyFault::TooSlow)));
    assert!(started.elapsed() <= Duration::from_secs(15), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_the_clients_fault() {
    let mut body = RequestBody::new(script(&[(0, 1), (0, 1), (4, 1)]), limits()).unwrap();
    let mut frames = 0;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        frames += 1;
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    assert_eq!(frames, 3);
}

#[tokio::test(start_paused = true)]
async fn large_bodies_end() {
    check(&[(0, 10_000)], Ok(10_000)).await;
    check(&[(0, 10_001)], Err(413)).await;
    check(&[(0, 5_000), (0, 5_001)], Err(413)).await;
    let announced = Script { announced: SizeHint::with_exact(10_001), ..script(&[]) };
    assert!(matches!(RequestBody::new(announced, limits()), Err(BodyFault::TooLarge { limit: 10_000 })));
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_after_a_fault() {
    let mut body = RequestBody::new(script(&[(0, 10_001), (0, 1)]), limits()).unwrap();
    assert!(body.frame().await.unwrap().is_err());
    assert!(body.frame().await.is_none());
    assert!(body.is_end_stream());
}

#[test]
fn the_gates_verdict_is_found() {
    let gate = io::Error::new(io::ErrorKind::InvalidData, Ambiguous::bad("chunk size is not hexadecimal"));
    let wrapped = io::Error::other(gate);
    let fault = BodyFault::from_source(Box::new(wrapped));
    assert_eq!(fault.to_string(), "request body is malformed: chunk size is not hexadecimal");
    assert!(matches!(BodyFault::from_source("gone".into()), BodyFault::CutOff(_)));
}

#[tokio::test]
async fn trailers_cannot_say_what_a_head_says() {
    let mut trailers = HeaderMap::new();
    for name in
        ["host", "content-length", "transfer-encoding", "authorization", "x-weft-principal", "ce-id", "x_a", "cookie"]
    {
        trailers.insert(name, HeaderValue::from_static("1"));
    }
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let steps = VecDeque::from([(Duration::ZERO, Frame::trailers(trailers))]);
    let script = Script { steps, wait: None, announced: SizeHint::default() };
    let body = RequestBody::new(script, limits()).unwrap().collect().await.unwrap();
    let names: Vec<_> = body.trailers().unwrap().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["grpc-status"]);
}
