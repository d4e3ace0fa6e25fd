//! The handshake of web hooks: whether an address wants our events, and how many a minute.

use weft_tests::events::event;
use weft_tests::{Project, Reply, Sink, eventually, manifest};

const OURS: &str = "localhost";

fn to(sink: &Sink, delivery: &str) -> String {
    manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', delivery: {{ {delivery} }}", sink.url("/in")))
}

#[tokio::test]
async fn an_address_is_asked_once_before_its_first_event() {
    let sink = Sink::start().await;
    sink.agree(Reply::status(200).header("webhook-allowed-origin", OURS).header("webhook-allowed-rate", "*"));
    let project = Project::new(&to(&sink, "handshake: required"));
    let node = project.start().await;
    for id in ["1", "2", "3"] {
        node.publish("orders", &event(id, "t")).await;
    }
    assert_eq!(node.settled("out", 3).await.in_state("delivered"), 3);
    let asked = sink.handshakes();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0].target.as_str(), asked[0].header("webhook-request-origin")), ("/in", Some(OURS)));
    assert!(asked[0].body.is_empty() && asked[0].header("ce-id").is_none(), "{asked:?}");
}

#[tokio::test]
async fn one_that_names_others_gets_nothing_until_it_names_us() {
    let sink = Sink::start().await;
    sink.agree(Reply::status(200).header("webhook-allowed-origin", "other.example"));
    let project = Project::new(&to(&sink, "retry: 0, backoffMax: PT0.2S"));
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    eventually("several questions", async || (sink.handshakes().len() > 2).then_some(())).await;
    assert!(sink.deliveries().is_empty());
    let told = node.explain_delivery("1").await["deliveries"][0].clone();
    assert_eq!((&told["state"], &told["attempts"][0]["code"]), (&"retrying".into(), &"UP_NO_CONSENT".into()), "{told}");
    sink.agree(Reply::status(200).header("webhook-allowed-origin", "*"));
    assert_eq!(node.settled("out", 1).await.in_state("delivered"), 1, "it used up no try");
}

#[tokio::test]
async fn one_that_says_nothing_gets_events_unless_its_consent_is_required() {
    for (word, state, asked) in [("optional", "delivered", 1), ("off", "delivered", 0), ("required", "expired", 1)] {
        let sink = Sink::start().await;
        let project = Project::new(&to(&sink, &format!("handshake: {word}, maxAge: 1s")));
        let node = project.start().await;
        node.publish("orders", &event("1", "t")).await;
        assert_eq!(node.settled("out", 1).await.in_state(state), 1, "{word}");
        assert_eq!(sink.deliveries().len(), usize::from(state == "delivered"), "{word}");
        assert_eq!(sink.handshakes().len().min(1), asked, "{word}");
    }
}
