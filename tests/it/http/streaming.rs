//! Bodies flow both ways as they come, and one that did not end well never looks as if it had.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;
use weft_tests::client::{self, open, read};
use weft_tests::{Ask, Node, Project, eventually, manifest, raw};

/// A body whose pieces the test sends when it likes.
fn body_by_hand()
-> (mpsc::Sender<Bytes>, StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>>>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok(Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(pieces))
}

async fn next(response: &mut Response<Incoming>, least: usize) -> Vec<u8> {
    let mut came = Vec::new();
    while came.len() < least {
        let frame = response.frame().await.expect("more of the answer").expect("an unbroken answer");
        came.extend(frame.into_data().unwrap_or_default());
    }
    came
}

#[tokio::test]
async fn an_answer_begins_before_the_request_has_ended() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let (sender, body) = body_by_hand();
    let ask = Ask::post("/?raw").host("echo.localhost").header("content-type", "text/plain");
    let answer = tokio::spawn(open(node.http, ask.with_body(body)));
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let mut response = answer.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(next(&mut response, 3).await, b"one");
    sender.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(next(&mut response, 3).await, b"two");
    drop(sender);
    assert_eq!(read(response).await.unwrap().body, "");
}

#[tokio::test]
async fn three_megabytes_come_back_as_they_went() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let pattern: Bytes =
        (0_u32..3 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    let answer = node.ask(Ask::post("/?raw").host("echo.localhost").body(pattern.clone())).await;
    assert_eq!((answer.status, answer.body.len()), (200, pattern.len()));
    assert!(answer.body == pattern, "the bytes differ");
}

#[tokio::test]
async fn a_body_that_a_function_did_not_finish_never_ends_cleanly() {
    async fn check(node: &Node, path: &str) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bad.localhost\r\nconnection: close\r\n\r\n");
        let came = raw::exchange(node.http, request.as_bytes()).await;
        // A function that breaks off at once may take the head, which was not sent yet, with it.
        assert!(matches!(came.status(), Some(200) | None), "{path}: {}", came.text());
        assert!(!came.text().ends_with("0\r\n\r\n"), "{path} ended cleanly: {}", came.text());
        assert!(client::send(node.http, Ask::get(path).host("bad.localhost")).await.is_err(), "{path}");
        assert_eq!(node.get("bad", "/").await.text(), "ok\n", "after {path}");
    }
    let limits = "limits: { timeout: 5s, idle: 300ms, stream: 1s }";
    let project = Project::new(&manifest::function("bad", "misbehave", limits));
    let node = project.start_with(weft_tests::node::Options::args(&["--access-log"])).await.unwrap();
    for path in ["/half-body-then-trap", "/half-body-then-return", "/wrong-length", "/stall", "/endless"] {
        check(&node, path).await;
    }
    assert!(node.log_lines(&["weft::access", "end=\"broken\""]).len() >= 5, "{}", node.log());
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_instance_with_it() {
    let function = manifest::function("bad", "misbehave", "scale: { idle: 300ms }");
    let project = Project::new(&function);
    let node = project.start().await;
    let instances = async || node.function_count("bad", "instances").await;
    let mut calls = Vec::new();
    for _ in 0..3 {
        let mut response =
            open(node.http, Ask::get("/endless").host("bad.localhost").with_body(Empty::new())).await.unwrap();
        next(&mut response, 1).await;
        calls.push(response);
    }
    assert_eq!(instances().await, 3);
    drop(calls);
    eventually("all three are gone", async || (instances().await == 0).then_some(())).await;

    // The same before the head of the answer has come.
    let waiting = tokio::spawn(open(node.http, Ask::get("/sleep").host("bad.localhost").with_body(Empty::new())));
    eventually("it runs", async || (instances().await == 1).then_some(())).await;
    waiting.abort();
    eventually("it is gone", async || (instances().await == 0).then_some(())).await;
    assert_eq!(node.get("bad", "/").await.text(), "ok\n");
}
