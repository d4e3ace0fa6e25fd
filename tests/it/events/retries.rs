//! What is tried again, how often and when: Knative's table of response codes, through a sink that answers by script.

use std::time::Duration;

use tokio::time::Instant;
use weft_tests::events::event;
use weft_tests::sink::Nobody;
use weft_tests::{Project, Reply, Sink, manifest};

/// Three retries, a few milliseconds apart.
const QUICK: &str = "delivery: { retry: 3, backoffDelay: PT0.01S, backoffMax: PT0.05S }";

fn to(sink: &Sink, delivery: &str) -> String {
    manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', {delivery}", sink.url("/")))
}

#[tokio::test]
async fn an_answer_decides_whether_the_event_is_delivered_again() {
    /// The statuses that the sink gives in turn; how many attempts there are; and how the event ends.
    const ROWS: [(&[u16], usize, &str); 25] = [
        (&[200], 1, "delivered"),
        (&[202], 1, "delivered"),
        (&[204], 1, "delivered"),
        (&[299], 1, "delivered"),
        (&[404, 204], 2, "delivered"),
        (&[408, 204], 2, "delivered"),
        (&[409, 204], 2, "delivered"),
        (&[429, 204], 2, "delivered"),
        (&[500, 204], 2, "delivered"),
        (&[502, 503, 504, 204], 4, "delivered"),
        (&[599, 204], 2, "delivered"),
        (&[500], 4, "dead"),
        (&[503, 503, 503, 503, 503, 204], 6, "delivered"),
        (&[429, 503, 429, 500, 500, 500, 500], 7, "dead"),
        (&[301], 1, "dead"),
        (&[302], 1, "dead"),
        (&[307], 1, "dead"),
        (&[400], 1, "dead"),
        (&[401], 1, "dead"),
        (&[403], 1, "dead"),
        (&[410], 1, "dead"),
        (&[413], 1, "dead"),
        (&[415], 1, "dead"),
        (&[422], 1, "dead"),
        (&[503, 400], 2, "dead"),
    ];
    let mut sinks = Vec::new();
    let mut text = manifest::topic("orders", "");
    for (row, (statuses, _, _)) in ROWS.iter().enumerate() {
        let sink = Sink::with_statuses(statuses).await;
        text += &manifest::trigger(&format!("row-{row}"), "orders", &format!("url: '{}', {QUICK}", sink.url("/")));
        sinks.push(sink);
    }
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    for (row, (statuses, attempts, state)) in ROWS.iter().enumerate() {
        let trigger = format!("row-{row}");
        assert_eq!(node.settled(&trigger, 1).await.in_state(state), 1, "{statuses:?}");
        assert_eq!(sinks[row].deliveries().len(), *attempts, "{statuses:?}");
        let dead = node.dead(&trigger).await;
        assert_eq!(dead.len(), usize::from(*state == "dead"), "{statuses:?}");
        if let Some(entry) = dead.first() {
            let last = statuses[statuses.len() - 1].to_string();
            assert_eq!(entry["cause"]["status"], last, "{entry}");
            let counted = statuses.iter().filter(|status| !matches!(status, 429 | 503)).count();
            let counted = if statuses.len() == 1 { *attempts } else { counted };
            assert_eq!(entry["attempts"], counted, "{entry}");
            assert_eq!(entry["event"]["id"], "1", "{entry}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_honoured_up_to_the_cap() {
    let sink = Sink::answering(|number, _| match number {
        0 => Reply::status(503).header("retry-after", "1"),
        1 => Reply::status(429).header("retry-after", "3600"),
        // On other statuses it means nothing.
        2 => Reply::status(500).header("retry-after", "3600"),
        _ => Reply::status(204),
    })
    .await;
    let project = Project::new(&to(&sink, "delivery: { retry: 5, backoffDelay: PT0.01S, backoffMax: PT1.5S }"));
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    node.settled("out", 1).await;
    let times: Vec<_> = sink.deliveries().iter().map(|delivery| delivery.at).collect();
    assert_eq!(times.len(), 4);
    assert!(times[1] - times[0] >= Duration::from_secs(1), "{:?}", times[1] - times[0]);
    assert!(times[2] - times[1] >= Duration::from_millis(1_500), "{:?}", times[2] - times[1]);
    assert!(times[2] - times[1] < Duration::from_secs(25), "an hour was capped");
    assert!(times[3] - times[2] < Duration::from_secs(25), "an hour was ignored");
}

#[tokio::test]
async fn one_event_that_fails_holds_up_no_other() {
    let sink = Sink::answering(|_, delivery| Reply::status(if delivery.id() == "bad" { 503 } else { 204 })).await;
    let project = Project::new(&to(&sink, "delivery: { retry: 1000, backoffDelay: 1h, backoffMax: 1h, inFlight: 1 }"));
    let node = project.start().await;
    node.publish("orders", &event("bad", "t")).await;
    for number in 0..20 {
        node.publish("orders", &event(&format!("good-{number}"), "t")).await;
    }
    sink.received(21).await;
    let counts = weft_tests::eventually("all the good ones", async || {
        let counts = node.conserved("out").await;
        (counts.in_state("delivered") == 20).then_some(counts)
    })
    .await;
    assert_eq!((counts.accepted, counts.pending), (21, 1));
}

#[tokio::test]
async fn a_waiting_retry_survives_a_restart() {
    let sink = Sink::with_statuses(&[503, 204]).await;
    let project = Project::new(&to(&sink, "delivery: { retry: 5, backoffDelay: PT0.5S, backoffMax: PT0.5S }"));
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    sink.received(1).await;
    node.stop().await;
    let node = project.start().await;
    assert_eq!(node.settled("out", 1).await.in_state("delivered"), 1);
    assert_eq!(sink.deliveries().len(), 2);
}

#[tokio::test]
async fn nobody_at_the_address_uses_up_no_try() {
    let nobody = Nobody::there();
    let delivery = "delivery: { retry: 0, backoffDelay: PT0.01S, backoffMax: PT0.05S, maxAge: 1s }";
    let text = manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', {delivery}", nobody.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("out", 1).await.in_state("expired"), 1);
    let dead = &node.dead("out").await[0];
    assert_eq!((&dead["state"], &dead["cause"]["code"]), (&"expired".into(), &"EVENT_EXPIRED".into()), "{dead}");
    let explained = node.explain_delivery("1").await;
    let attempts = explained["deliveries"][0]["attempts"].as_array().expect("a list").clone();
    assert!(attempts.len() > 3, "{explained}");
    assert!(attempts.iter().all(|attempt| attempt["code"] == "UP_CONNECT" && attempt["status"] == 502), "{explained}");
    let pauses = node.scrape().await.sum("weft_trigger_pauses_total", &[("trigger", "out"), ("cause", "unavailable")]);
    assert!(pauses > 3, "{pauses}");
}

#[tokio::test]
async fn a_new_revision_is_tried_at_once() {
    let text = |ty: &str| {
        manifest::function("worker", "misbehave", &format!("limits: {{ timeout: {ty} }}"))
            + &manifest::topic("orders", "")
            + &manifest::trigger(
                "in",
                "orders",
                "function: worker, path: '/sleep?ms=300', delivery: { retry: 0, backoffDelay: PT1S }",
            )
    };
    let (old, new) = (text("20ms"), text("5s"));
    let project = Project::new(&old);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    // The pauses grow; one of them is long enough to see that nobody waits for its end.
    let tried_at = weft_tests::eventually("a long pause", async || {
        let circuit = node.resource("trigger", "in").await["status"]["circuit"].clone();
        let left = circuit["seconds"].as_f64().filter(|_| circuit["state"] == "open")?;
        (left > 3.5).then(|| Instant::now() + Duration::from_secs_f64(left))
    })
    .await;
    project.write("app.yaml", &new);
    node.publish("orders", &event("2", "t")).await;
    weft_tests::eventually("a delivery", async || (node.conserved("in").await.in_state("delivered") > 0).then_some(()))
        .await;
    assert!(Instant::now() < tried_at, "the new revision was not tried before the pause was over");
    assert_eq!(node.settled("in", 2).await.in_state("delivered"), 2);
}

#[tokio::test]
async fn a_function_that_fails_is_tried_again_by_the_same_rules() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::function("bad", "misbehave", "limits: { cpu: 50ms }")
        + &manifest::topic("orders", "")
        + &manifest::trigger("error", "orders", &format!("function: replier, path: /error, {QUICK}"))
        + &manifest::trigger("reject", "orders", &format!("function: replier, path: /unheard-of, {QUICK}"))
        + &manifest::trigger("trap", "orders", &format!("function: bad, path: /trap, {QUICK}"))
        + &manifest::trigger("loop", "orders", &format!("function: bad, path: /loop, {QUICK}"))
        + &manifest::trigger("half", "orders", &format!("function: bad, path: /half-body-then-trap, {QUICK}"));
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    for (trigger, attempts, code, status) in [
        // The function's own answer has no code of the mesh.
        ("error", 4, None, "500"),
        ("reject", 1, None, "422"),
        ("trap", 4, Some("FN_TRAP"), "502"),
        ("loop", 4, Some("FN_CPU"), "504"),
    ] {
        assert_eq!(node.settled(trigger, 1).await.in_state("dead"), 1, "{trigger}");
        let dead = &node.dead(trigger).await[0];
        assert_eq!((dead["cause"]["code"].as_str(), dead["cause"]["status"].as_str()), (code, Some(status)), "{dead}");
        assert_eq!(dead["attempts"], attempts, "{dead}");
    }
    // A good status that is no event is all that is wanted of the answer: its body is dropped, whole or not.
    assert_eq!(node.settled("half", 1).await.in_state("delivered"), 1);
}

#[tokio::test]
async fn an_event_that_grew_old_expires() {
    let sink = Sink::with_statuses(&[503]).await;
    let project =
        Project::new(&to(&sink, "delivery: { retry: 1000, backoffDelay: PT0.2S, backoffMax: PT0.2S, maxAge: 1s }"));
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("out", 1).await.in_state("expired"), 1);
    assert_eq!(node.dead("out").await[0]["state"], "expired");
}
