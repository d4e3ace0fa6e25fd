//! Delivering to a function: a backlog is published first, then a trigger that starts at the beginning of the topic drains
//! it, a new trigger for each round. Beside it, the same function asked over HTTP.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use weft_tests::{Node, Project, manifest};

use super::{event, start};
use crate::measure::{ROUNDS, Sample, WARM_UP};
use crate::server::cpu_micros;
use crate::table::{Row, Table};
use crate::wire::Clients;

/// Events of the backlog.
const BACKLOG: u64 = 20_000;
/// Connections that publish the backlog, and that ask the function: as many as a trigger's `inFlight`.
const CLIENTS: usize = 16;
/// How often the counters are read: often enough to know the beginning and the end, and a small part of the work.
const LOOK: Duration = Duration::from_millis(20);
/// How long a backlog may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Measures.
pub(crate) async fn run() -> Table {
    let resources = [manifest::topic("bench", ""), manifest::function("hello", "hello", "")].concat();
    let project = Project::new(&resources);
    let node = start(&project).await;
    Clients::connect(node.http, CLIENTS, event, 202).await.make(BACKLOG).await;
    let mut asking = Clients::connect(node.http, CLIENTS, ask, 200).await;
    asking.run(WARM_UP).await;
    let mut rows = [Row::baseline("weft, POST of an event"), Row::ours("weft, deliver")];
    for round in 0..ROUNDS {
        rows[0].samples.push(Sample::round(&mut asking, node.pid()).await);
        rows[1].samples.push(drain(&project, &node, round).await);
    }
    let notes = vec![format!(
        "{BACKLOG} events of 1 KiB to examples/hello, inFlight {CLIENTS} (the default); the same event as a request from \
         {CLIENTS} connections."
    )];
    Table { title: "deliver", unit: "events", rows: rows.into(), notes }
}

/// The same event as a request, without a topic.
fn ask(request: &mut Vec<u8>, number: u64) {
    event(request, number);
    let head = b"POST /topics/default/bench HTTP/1.1\r\nhost: 127.0.0.1\r\n";
    request.splice(..head.len(), b"POST / HTTP/1.1\r\nhost: hello.localhost\r\n".iter().copied());
}

/// Delivers the backlog to a new trigger.
async fn drain(project: &Project, node: &Node, round: usize) -> Sample {
    let (name, file) = (format!("drain-{round}"), format!("drain-{round}.yaml"));
    project.write(&file, manifest::trigger(&name, "bench", "function: hello, from: beginning"));
    let first = delivered(node, &name, 1).await;
    let last = delivered(node, &name, BACKLOG).await;
    project.remove(&file);
    let events = (last.events - first.events) as f64;
    let elapsed = last.at.duration_since(first.at).as_secs_f64();
    Sample { rate: events / elapsed, cpu: (last.cpu - first.cpu) / events, p50: 0.0, p99: 0.0 }
}

/// A trigger's progress at one moment.
struct Progress {
    events: u64,
    at: Instant,
    cpu: f64,
}

/// Waits until a trigger has delivered at least so many events.
async fn delivered(node: &Node, trigger: &str, events: u64) -> Progress {
    let end = Instant::now() + PATIENCE;
    loop {
        let (at, cpu) = (Instant::now(), cpu_micros(node.pid()));
        let counts = node.scrape().await.trigger(trigger);
        if counts.in_state("delivered") >= events {
            return Progress { events: counts.in_state("delivered"), at, cpu };
        }
        assert!(at < end, "{trigger} delivers too slowly: {counts:?}");
        sleep(LOOK).await;
    }
}
