//! What ended without being delivered, and what was delivered, delivered once more: `weft dead`, `weft replay`, `weft job`, and
//! `weft tail --where`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::json;
use weft_tests::events::{event, event_with};
use weft_tests::{Node, Project, Reply, Sink, eventually, manifest};

/// A sink that answers with whatever is set.
async fn switched(status: u16) -> (Sink, Arc<AtomicU16>) {
    let set = Arc::new(AtomicU16::new(status));
    let answer = set.clone();
    (Sink::answering(move |_, _| Reply::status(answer.load(Ordering::SeqCst))).await, set)
}

fn text(sink: &Sink) -> String {
    let delivery = "delivery: { retry: 1, backoffDelay: PT0.01S }";
    manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', {delivery}", sink.url("/")))
}

async fn columns(node: &Node, words: &[&str]) -> Vec<Vec<String>> {
    let run = node.weft(words).await.ok();
    run.stdout.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn dead_events_are_found_shown_and_redriven() {
    let (sink, answer) = switched(500).await;
    let project = Project::new(&text(&sink));
    let node = project.start().await;
    for (id, ty) in [("1", "order"), ("2", "refund"), ("3", "order")] {
        node.publish("orders", &event_with(id, ty, json!({ "n": id }))).await;
    }
    assert_eq!(node.settled("out", 3).await.in_state("dead"), 3);

    let list = columns(&node, &["dead", "list", "out"]).await;
    assert_eq!(list[0][..5], ["EVENT", "SOURCE", "TYPE", "STATE", "ATTEMPTS"]);
    let mut ids: Vec<_> = list[1..].iter().map(|row| row[0].as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(columns(&node, &["dead", "list", "out", "--where", "type = 'refund'"]).await.len(), 2);
    let shown = node.weft(&["dead", "show", "out", "2", "-o", "json"]).await.ok().json();
    assert_eq!((&shown["event"]["data"]["n"], &shown["attempts"]), (&json!("2"), &json!(2)), "{shown}");
    assert_eq!(shown["cause"]["status"], "500", "{shown}");
    assert_eq!(node.weft(&["dead", "show", "out", "none"]).await.code, 1);

    answer.store(204, Ordering::SeqCst);
    let run = node.weft(&["dead", "redrive", "out", "--where", "type = 'order'", "--wait", "-o", "json"]).await.ok();
    let job = run.json();
    assert_eq!((&job["state"], &job["matched"], &job["delivered"]), (&"done".into(), &json!(2), &json!(2)), "{job}");
    let again: Vec<_> = sink.deliveries().into_iter().filter(|one| one.header("ce-weftredrive").is_some()).collect();
    let mut ids: Vec<_> = again.iter().map(|one| one.id()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "3"]);
    assert_eq!(again[0].header("ce-weftredrive"), job["id"].as_str());

    // Nothing is redriven twice, unless it is asked for by its id.
    let rest = node.weft(&["dead", "redrive", "out", "--wait", "-o", "json"]).await.ok().json();
    assert_eq!((&rest["matched"], &rest["repeated"]), (&json!(1), &json!(2)), "{rest}");
    let one = node.weft(&["dead", "redrive", "out", "--event", "1", "--wait"]).await.ok();
    assert_eq!(one.stdout.trim(), "j-3");
    let counts = node.conserved("out").await;
    assert_eq!((counts.accepted, counts.in_state("dead"), counts.in_state("delivered")), (7, 3, 4));
    let scrape = node.scrape().await;
    let accepted = |cause| scrape.sum("weft_trigger_events_accepted_total", &[("trigger", "out"), ("cause", cause)]);
    assert_eq!((accepted("live"), accepted("redrive"), accepted("replay")), (3, 4, 0));
    let told = node.explain_delivery("1").await;
    let states: Vec<_> = told["deliveries"].as_array().expect("a list").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["dead", "delivered", "delivered"], "{told}");
}

#[tokio::test]
async fn the_past_is_replayed_over_a_restart_watched_and_stopped() {
    let (sink, answer) = switched(204).await;
    let project = Project::new(&text(&sink));
    let node = project.start().await;
    let events: Vec<_> =
        (0..60).map(|number| event(&format!("{number}"), if number % 2 == 0 { "even" } else { "odd" })).collect();
    node.ask(weft_tests::events::batch("orders", &events)).await.sequences();
    node.settled("out", 60).await;

    let words = ["replay", "out", "--from", "11", "--to", "31", "--where", "type = 'even'", "--rate", "20"];
    let id = node.weft(&words).await.ok().stdout.trim().to_owned();
    assert_eq!(id, "j-1");
    let refused = node.weft(&words).await;
    assert_eq!(refused.code, 1, "one at a time: {refused:?}");
    node.stop().await;
    let node = project.start().await;
    let watched = node.weft(&["job", "watch", &id, "-o", "json"]).await.ok().json();
    assert_eq!(
        (&watched["state"], &watched["matched"], &watched["delivered"]),
        (&"done".into(), &json!(10), &json!(10))
    );
    let replayed = || sink.deliveries().into_iter().filter(|one| one.header("ce-weftreplay").is_some());
    let mut ids: Vec<u32> = replayed().map(|one| one.id().parse().expect("a number")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids, (10..30).step_by(2).collect::<Vec<_>>());

    // A target that is not there holds a job up; the job can be stopped.
    answer.store(503, Ordering::SeqCst);
    node.weft(&["replay", "out", "--from", "beginning"]).await.ok();
    eventually("a job that waits", async || {
        let list = columns(&node, &["job", "list"]).await;
        (list[1][..4] == ["j-2", "replay", "default/out", "draining"]).then_some(())
    })
    .await;
    node.weft(&["job", "stop", "j-2"]).await.ok();
    let stopped = node.weft(&["job", "watch", "j-2"]).await;
    assert_eq!((stopped.code, stopped.stderr.contains("stopped")), (1, true), "{stopped:?}");
    for (words, code) in [
        (&["job", "watch", "j-99"][..], 1),
        (&["job", "watch", "x"], 2),
        (&["replay", "out"], 2),
        (&["replay", "out", "--from", "yesterday"], 2),
        (&["replay", "none", "--from", "beginning"], 1),
        (&["replay", "out", "--from", "beginning", "--where", "type ="], 2),
    ] {
        assert_eq!(node.weft(words).await.code, code, "{words:?}");
    }
    let counts = node.conserved("out").await;
    assert_eq!(counts.accepted, 60 + 10 + 60);
}

#[tokio::test]
async fn tail_shows_what_is_wanted() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    for number in 0..20 {
        node.publish("orders", &event_with(&number.to_string(), if number % 5 == 0 { "five" } else { "t" }, json!(1)))
            .await;
    }
    let words = ["tail", "orders", "--from", "beginning", "--where", "type = 'five'", "--limit", "3", "-o", "json"];
    let run = node.weft(&words).await.ok();
    let ids: Vec<String> = run
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON")["event"]["id"]
                .as_str()
                .expect("an id")
                .to_owned()
        })
        .collect();
    assert_eq!(ids, ["0", "5", "10"]);
    assert_eq!(node.weft(&["tail", "orders", "--where", "type ="]).await.code, 2);
}

#[tokio::test]
async fn a_filter_of_the_past_explains_the_past() {
    let (sink, _) = switched(204).await;
    let text = |ty: &str| {
        manifest::topic("orders", "")
            + &manifest::trigger(
                "out",
                "orders",
                &format!("url: '{}', filters: [ {{ exact: {{ type: {ty} }} }} ]", sink.url("/")),
            )
    };
    let project = Project::new(&text("order"));
    let node = project.start().await;
    node.publish("orders", &event("1", "refund")).await;
    assert_eq!(node.settled("out", 1).await.in_state("filtered"), 1);
    project.write("app.yaml", text("refund"));
    node.logged(&["reloaded: 1 changed"]).await;
    node.publish("orders", &event("2", "refund")).await;
    node.settled("out", 2).await;
    let state = async |node: &Node, id: &str| node.explain_delivery(id).await["deliveries"][0]["state"].clone();
    assert_eq!((state(&node, "1").await, state(&node, "2").await), ("filtered".into(), "delivered".into()));
    node.stop().await;
    let node = project.start().await;
    assert_eq!((state(&node, "1").await, state(&node, "2").await), ("filtered".into(), "delivered".into()));
}
