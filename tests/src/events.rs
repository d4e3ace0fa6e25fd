//! Events as tests publish them, and what triggers made of them.

use serde_json::{Value, json};

use crate::{Answer, Ask, Node, eventually, metrics::TriggerCounts};

/// Media types of structured and batch mode (CloudEvents HTTP binding, sections 3.2 and 3.3).
pub const STRUCTURED: &str = "application/cloudevents+json";
/// See [`STRUCTURED`].
pub const BATCH: &str = "application/cloudevents-batch+json";

/// An event of the source `/test` without data.
pub fn event(id: &str, ty: &str) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/test", "type": ty })
}

/// An event with data.
pub fn event_with(id: &str, ty: &str, data: Value) -> Value {
    let mut event = event(id, ty);
    event["data"] = data;
    event
}

/// A request that publishes an event in structured mode into a topic of the namespace `default`.
pub fn structured(topic: &str, event: &Value) -> Ask {
    to_topic(topic).header("content-type", STRUCTURED).json(event)
}

/// A request that publishes several events.
pub fn batch(topic: &str, events: &[Value]) -> Ask {
    to_topic(topic).header("content-type", BATCH).body(Value::from(events).to_string())
}

/// A request that publishes in binary mode: the attributes as header values, percent-encoded already.
pub fn binary(topic: &str, attributes: &[(&str, &str)], content_type: &str, data: &'static str) -> Ask {
    let ask = attributes.iter().fold(to_topic(topic), |ask, (name, value)| ask.header(&format!("ce-{name}"), value));
    ask.header("content-type", content_type).body(data)
}

/// A request to a topic of the namespace `default`.
pub fn to_topic(topic: &str) -> Ask {
    Ask::post(format!("/default/{topic}")).host("topics.localhost")
}

impl Answer {
    /// The sequences that a topic gave, if it accepted.
    pub fn sequences(&self) -> Vec<u64> {
        assert_eq!(self.status, 202, "{}", self.text());
        let accepted = self.json()["accepted"].as_array().cloned().expect("a list");
        accepted.iter().map(|line| line["sequence"].as_str().expect("a text").parse().expect("a number")).collect()
    }
}

impl Node {
    /// Publishes an event into a topic of the namespace `default` and gives its sequence; fails unless it is accepted.
    pub async fn publish(&self, topic: &str, event: &Value) -> u64 {
        self.ask(structured(topic, event)).await.sequences()[0]
    }

    /// Waits until a trigger has brought exactly `accepted` events to their end, and gives what they came to. On the way
    /// each scrape must account for every event of every trigger.
    pub async fn settled(&self, trigger: &str, accepted: u64) -> TriggerCounts {
        let what = format!("trigger {trigger} settles {accepted} events");
        eventually(&what, async || {
            let last = self.conserved(trigger).await;
            (last.accepted == accepted && last.pending == 0).then_some(last)
        })
        .await
    }

    /// What the events of a trigger came to so far. Fails if one scrape loses sight of an event of any trigger.
    pub async fn conserved(&self, trigger: &str) -> TriggerCounts {
        let scrape = self.scrape().await;
        for name in scrape.triggers() {
            let counts = scrape.trigger(&name);
            assert!(counts.is_conserved(), "trigger {name} lost sight of events: {counts:?}");
        }
        scrape.trigger(trigger)
    }

    /// The events of a topic of the namespace `default`, as `weft tail` lists them.
    pub async fn events(&self, topic: &str) -> Vec<Value> {
        let target = format!("/api/v1/topics/default/{topic}/events?from=beginning&follow=false");
        let answer = self.ask_admin(Ask::get(target)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let text = answer.text();
        text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The dead log of a trigger of the namespace `default`.
    pub async fn dead(&self, trigger: &str) -> Vec<Value> {
        let answer = self.ask_admin(Ask::get(format!("/api/v1/triggers/default/{trigger}/dead"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().cloned().expect("a list")
    }

    /// What became of an event, as `weft explain delivery` tells it.
    pub async fn explain_delivery(&self, id: &str) -> Value {
        let answer = self.ask_admin(Ask::get(format!("/api/v1/explain/deliveries?id={id}"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}
