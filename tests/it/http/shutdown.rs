//! A node that is told to stop finishes what it began.

use tokio::net::TcpStream;
use weft_tests::{Ask, Project, eventually, manifest};

#[tokio::test]
async fn a_request_in_flight_is_finished_and_nothing_new_is_begun() {
    let project = Project::new(&manifest::function("echo", "echo", ""));
    let node = project.start().await;
    let http = node.http;
    let call = node.ask(Ask::get("/?sleep=1500").host("echo.localhost"));
    let stop = async {
        eventually("the call runs", async || (node.function_count("echo", "instances").await == 1).then_some(())).await;
        node.terminate();
        eventually("nobody new is let in", async || TcpStream::connect(http).await.is_err().then_some(())).await;
    };
    let (answer, ()) = tokio::join!(call, stop);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (code, log) = node.ended().await;
    assert_eq!(code, 0, "{log}");
}

#[tokio::test]
async fn a_node_without_work_stops_at_once_and_can_be_started_again() {
    let project = Project::new(&(manifest::function("hello", "hello", "") + &manifest::topic("orders", "")));
    for _ in 0..2 {
        let node = project.start().await;
        assert_eq!(node.get("hello", "/").await.status, 200);
        node.stop().await;
    }
}

#[tokio::test]
async fn two_nodes_never_share_a_data_directory() {
    let project = Project::new(&manifest::topic("orders", ""));
    let _node = project.start().await;
    let refused = project.start_with(Default::default()).await.err().expect("a refusal");
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("lock") || refused.stderr.contains("in use"), "{refused}");
}
