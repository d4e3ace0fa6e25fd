//! Delivery in virtual time: hours of outage in milliseconds, with the log in memory and a target that answers by script.

mod again;
mod many;
mod order;
mod outage;
mod times;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;
use weft_eventlog::{Clock, Counters, EventState, MemoryLog, Sequence};
use weft_functions::event::Event;
use weft_functions::event::http as binding;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;
use weft_runtime::{Body, full};

use super::*;
use crate::path::call::Target;
use crate::path::caller::{Caller, Proof};
use crate::path::fixture::{self, BEGIN_MS, Virtual};
use crate::path::outcome::{Failure, Reason};
use crate::path::policy::Default as Verdict;
use crate::targets::upstream::Upstream;

/// What came to the target.
#[derive(Debug, Clone)]
struct Came {
    /// When, since the beginning.
    at: Duration,
    id: String,
    event: Event,
}

/// How the target answers, given the number of the call, counted from 0, and what came.
type Script = dyn Fn(usize, &Came) -> Result<u16, Reason> + Send + Sync;

/// Calls to the outside go to the script, all others through the pipeline.
struct Scripted {
    mesh: Arc<Mesh>,
    begin: Instant,
    script: Box<Script>,
    takes: Duration,
    came: Mutex<Vec<Came>>,
}

impl Calls for Scripted {
    fn ask(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(pipeline::ask(&self.mesh, call))
    }

    fn handle(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(async move {
            if call.verb != Verb::Deliver || !matches!(call.target, Target::Outside(_)) {
                return pipeline::handle(&self.mesh, call).await;
            }
            let record = self.mesh.records.start(&call);
            if call.request.method() == Method::OPTIONS {
                return record.finish(Ok(answered(405)));
            }
            let event = call.events.expect("a delivery's event").remove(0);
            let came = Came { at: self.begin.elapsed(), id: event.id().to_owned(), event };
            let result = {
                let mut all = self.came.lock().expect("not poisoned");
                all.push(came.clone());
                (self.script)(all.len() - 1, &came)
            };
            tokio::time::sleep(self.takes).await;
            record.finish(match result {
                Ok(status) => Ok(answered(status)),
                Err(reason) => Err(Failure::hidden(reason, "by the script")),
            })
        })
    }
}

fn answered(status: u16) -> http::Response<Body> {
    let mut response = http::Response::new(full(""));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// A topic `orders`, a topic `dead`, and a trigger `out` on `orders` to a scripted target.
struct Scene {
    begin: Instant,
    target: Arc<Scripted>,
    deliveries: Deliveries,
    log: MemoryLog,
    snapshot: Arc<Snapshot>,
}

impl Scene {
    /// A target that answers at once.
    async fn new(delivery: &str, script: impl Fn(usize, &Came) -> Result<u16, Reason> + Send + Sync + 'static) -> Self {
        Self::slow(delivery, Duration::ZERO, script).await
    }

    /// A target that takes a while.
    async fn slow(
        delivery: &str,
        takes: Duration,
        script: impl Fn(usize, &Came) -> Result<u16, Reason> + Send + Sync + 'static,
    ) -> Self {
        let trigger = format!("url: 'http://sink.example/', delivery: {{ {delivery} }}");
        Self::of(&[("out", trigger.as_str())], takes, script).await
    }

    /// A scene with these triggers: their names, and what they say beside their topic.
    async fn of(
        triggers: &[(&str, &str)],
        takes: Duration,
        script: impl Fn(usize, &Came) -> Result<u16, Reason> + Send + Sync + 'static,
    ) -> Self {
        let begin = Instant::now();
        let clock: Arc<dyn Clock> = Arc::new(Virtual(begin));
        let log = MemoryLog::new(clock.clone());
        let mut snapshot = fixture::snapshot(1, Verdict::Allow, "");
        let document = |kind: &str, name: &str, spec: &str| {
            format!(
                "---\napiVersion: weft.dev/v1alpha1\nkind: {kind}\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n"
            )
        };
        let triggers = triggers.iter().map(|(name, more)| document("Trigger", name, &format!("topic: orders, {more}")));
        let text = document("Topic", "orders", "") + &document("Topic", "dead", "") + &triggers.collect::<String>();
        fixture::deploy(&mut snapshot, &log, &text).await;
        let upstream = Upstream::new().expect("the system's certificates");
        let mesh = fixture::mesh_of(snapshot, upstream);
        let snapshot = mesh.snapshot();
        let (script, came) = (Box::new(script), Mutex::default());
        let target = Arc::new(Scripted { mesh: mesh.clone(), begin, script, takes, came });
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let calls = target.clone();
        let deliveries = Deliveries::new(Parts { mesh, calls, clock, metrics, seed: 7, reach_loopback: false });
        deliveries.reconcile(&snapshot);
        Self { begin, target, deliveries, log, snapshot }
    }

    fn trigger(&self) -> &DeployedTrigger {
        &self.snapshot.triggers[&name("out")]
    }

    /// Publishes an event as everybody does; its sequence.
    async fn publish(&self, event: Event) -> Sequence {
        let (headers, data) = binding::encode_binary(&event);
        let mut request = http::Request::new(full(data));
        (*request.method_mut(), *request.headers_mut()) = (Method::POST, headers);
        let principal = fixture::names().trust_domain.function(&name("shop"));
        let call = Call {
            verb: Verb::Publish,
            target: Target::Topic(name("orders")),
            caller: Caller::direct(principal.into(), Proof::Dev),
            request,
            deadline: Instant::now() + Duration::from_secs(5),
            hops: 0,
            cause: None,
            events: None,
        };
        let answer = pipeline::handle(&self.target.mesh, call).await;
        assert_eq!(answer.outcome.status, StatusCode::ACCEPTED, "{:?}", answer.outcome);
        let next = self.snapshot.topics[&name("orders")].log.bounds().next;
        Sequence::new(next.get() - 1)
    }

    fn came(&self) -> Vec<Came> {
        self.target.came.lock().expect("not poisoned").clone()
    }

    fn ids(&self) -> Vec<String> {
        self.came().into_iter().map(|came| came.id).collect()
    }

    /// What the trigger's events came to; the books balance.
    fn counters(&self) -> Counters {
        let counters = self.trigger().consumer.counters();
        assert_eq!(counters.accepted, counters.ended() + counters.pending, "{counters:?}");
        counters
    }

    /// Lets virtual time pass until the condition holds, at most this long.
    async fn until(&self, patience: Duration, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + patience;
        while !holds(self) {
            assert!(Instant::now() < end, "not within {patience:?}: {:?}, {:?}", self.counters(), self.ids());
            tokio::time::sleep(Duration::from_millis(10).max(patience / 10_000)).await;
        }
    }

    /// Until nothing is pending.
    async fn settled(&self, patience: Duration) -> Counters {
        self.until(patience, |scene| scene.counters().pending == 0).await;
        self.counters()
    }

    async fn dead(&self) -> Vec<weft_eventlog::DeadRecord> {
        self.trigger().consumer.dead(None, 1_000).await.expect("the dead log")
    }
}

fn name(text: &str) -> Namespaced {
    format!("default/{text}").parse().expect("a name")
}

fn event(id: &str) -> Event {
    Event::builder().id(id.to_owned()).source("/test").ty("t").build().expect("an event")
}

fn event_of(id: &str, key: &str) -> Event {
    event(id).with_extension("partitionkey", key.to_owned()).expect("a key")
}

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
