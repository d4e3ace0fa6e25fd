//! A request to a function at zero: nothing of it is in memory but its entry in the table. Each of many functions is asked
//! once, one after the other; then all go back to zero for the next round. The node's own count of cold starts must
//! agree, or what was measured was something else.

use std::time::Duration;

use tokio::time::Instant;
use weft_tests::{Node, Project, eventually, manifest};

use super::start;
use crate::measure::{ROUNDS, Sample};
use crate::server::{self, Server, cpu_micros};
use crate::table::{Row, Table};
use crate::wire::{Connection, Load};

/// Functions, each on the same module: 100 cold starts a round are enough for a 99th percentile of five rounds.
const FUNCTIONS: usize = 100;
/// `scale.idle`: longer than a round of requests takes, and short to wait for.
const IDLE: &str = "scale: { idle: 2s }";

/// Measures.
pub(crate) async fn run() -> Table {
    let functions: String = names().map(|name| manifest::function(&name, "hello", IDLE)).collect();
    let project = Project::new(&functions);
    let cold = Server::role(&["serve-wasm-cold", &server::module()]);
    let node = start(&project).await;
    let mut rows = [
        Row::baseline("load per request, no mesh"),
        Row::ours("weft, cold request"),
        Row::ours("weft, the next request"),
    ];
    let (mut to_cold, mut to_node) = (Connection::open(cold.addr).await, Connection::open(node.http).await);
    // Once without counting: pools, caches and branch predictors are warm, functions are not.
    ask_each(&mut to_cold, cold.pid()).await;
    ask_each(&mut to_node, node.pid()).await;
    for _ in 0..ROUNDS {
        rows[0].samples.push(ask_each(&mut to_cold, cold.pid()).await);
        at_zero(&node).await;
        let before = loads(&node).await;
        rows[1].samples.push(ask_each(&mut to_node, node.pid()).await);
        assert_eq!(loads(&node).await - before, FUNCTIONS as u64, "not every request was a cold start");
        rows[2].samples.push(ask_each(&mut to_node, node.pid()).await);
    }
    let notes = vec![
        format!(
            "{FUNCTIONS} functions at zero, asked once each, one at a time; whole response; counted by the node as cold starts."
        ),
        "Artifacts are compiled and in the page cache. CPU is coarse here: its clock ticks every 10 ms.".to_owned(),
    ];
    Table { title: "cold request", unit: "requests", rows: rows.into(), notes }
}

fn names() -> impl Iterator<Item = String> {
    (0..FUNCTIONS).map(|number| format!("cold-{number}"))
}

async fn ask_each(connection: &mut Connection, pid: u32) -> Sample {
    let (start, before) = (Instant::now(), cpu_micros(pid));
    let mut latencies = Vec::with_capacity(FUNCTIONS);
    for name in names() {
        let request = format!("GET / HTTP/1.1\r\nhost: {name}.localhost\r\n\r\n");
        let asked = Instant::now();
        assert_eq!(connection.exchange(request.as_bytes()).await.expect("an answer"), 200);
        latencies.push(asked.elapsed());
    }
    Sample::of(Load { elapsed: start.elapsed(), latencies }, cpu_micros(pid) - before)
}

async fn at_zero(node: &Node) {
    eventually("all functions at zero", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (node.scrape().await.sum("weft_function_instances", &[]) == 0).then_some(())
    })
    .await;
}

/// Cold starts so far.
async fn loads(node: &Node) -> u64 {
    node.scrape().await.sum("weft_cold_start_seconds_count", &[("phase", "load")])
}
