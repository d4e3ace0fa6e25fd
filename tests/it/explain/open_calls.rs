//! Calls that are going on when policy changes: judged again, and cut off if they are no longer permitted.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::json;
use tokio::sync::mpsc;
use weft_tests::client::open;
use weft_tests::{Ask, Node, Project, eventually, manifest};

use super::{DEV, deny, explain};

/// A call whose answer goes on for as long as the sender is held.
async fn streaming(node: &Node, host: &str) -> (mpsc::Sender<Bytes>, Response<Incoming>) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let pieces = stream::unfold(receiver, async |mut receiver| {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(Frame::data(piece)), receiver))
    });
    let ask = Ask::post("/?raw").host(host).with_body(StreamBody::new(pieces));
    let answer = tokio::spawn(open(node.http, ask));
    sender.send(Bytes::from_static(b"one")).await.unwrap();
    let mut answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "one");
    (sender, answer)
}

#[tokio::test]
async fn a_policy_change_cuts_an_open_call_and_leaves_others() {
    let functions = manifest::function("echo", "echo", "") + &manifest::function("other", "echo", "");
    let project = Project::new(&functions);
    let node = project.start().await;
    let (_sender, mut cut) = streaming(&node, "echo.localhost").await;
    let (others, mut left) = streaming(&node, "other.localhost").await;
    let id = cut.headers()["x-weft-decision"].to_str().unwrap().to_owned();
    assert_eq!(explain(&node, &[&id]).await["call"]["end"], json!(null), "it goes on");

    let closed = deny("closed", DEV).replace("action: DENY", "action: DENY, targets: [ { function: echo } ]");
    project.write("closed.yaml", &closed);
    let broken = eventually("the call breaks off", async || cut.frame().await.map(|frame| frame.is_err())).await;
    assert!(broken, "it must not end as if it were complete");
    let explained = eventually("it is recorded", async || {
        let explained = explain(&node, &[&id]).await;
        (explained["call"]["end"] == "cut").then_some(explained)
    })
    .await;
    assert_eq!(
        (&explained["verdict"], &explained["code"]),
        (&json!("deny"), &json!("AUTHZ_DENY_RULE")),
        "{explained:#}"
    );
    assert_eq!(explained["policy"]["deciding"], "policy default/closed rule 0", "{explained:#}");
    assert_eq!(explained["policy"]["steps"][0]["source"], "closed.yaml:5", "{explained:#}");
    eventually("its guest is gone", async || {
        (node.function_count("echo", "instances").await <= 1 && node.function_count("echo", "queued").await == 0)
            .then_some(())
    })
    .await;

    others.send(Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(left.frame().await.unwrap().unwrap().into_data().unwrap(), "two", "whoever is permitted goes on");
    drop(others);
    assert!(left.frame().await.is_none_or(|end| end.is_ok()));
}

#[tokio::test]
async fn a_call_that_has_no_answer_yet_is_refused() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let http = node.http;
    let waiting = tokio::spawn(weft_tests::client::send(http, Ask::get("/?sleep=20000").host("echo.localhost")));
    eventually("the call is under way", async || (node.function_count("echo", "calls").await == 1).then_some(())).await;
    project.write("closed.yaml", deny("closed", DEV));
    let answer = waiting.await.unwrap().unwrap();
    assert_eq!((answer.status, answer.code().as_deref()), (403, Some("AUTHZ_DENIED")));
    assert_eq!(explain(&node, &[answer.decision().unwrap()]).await["code"], "AUTHZ_DENY_RULE");
}
