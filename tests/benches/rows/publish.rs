//! Publishing events of 1 KiB, one at a time and 256 at a time: what the disk can do, what the log can do, and weft.

use weft_tests::{Project, manifest};

use super::{event, start};
use crate::disk::BODY;
use crate::measure::{ROUNDS, Sample, WARM_UP};
use crate::server;
use crate::table::{Row, Table};
use crate::wire::Clients;

/// Outstanding events of the two tables. (A node takes 256 connections from one address.)
const OUTSTANDING: [(usize, &str); 2] = [(1, "publish, 1 outstanding"), (256, "publish, 256 outstanding")];

/// Measures.
pub(crate) async fn run() -> Vec<Table> {
    let mut tables = Vec::new();
    for (outstanding, title) in OUTSTANDING {
        tables.push(compare(outstanding, title).await);
    }
    tables
}

async fn compare(outstanding: usize, title: &'static str) -> Table {
    // Beside the node's data, so that all write to the same disk.
    let dir = tempfile::tempdir().expect("a folder");
    let at = dir.path().to_str().expect("a path in UTF-8");
    let project = Project::new(&manifest::topic("bench", ""));
    let node = start(&project).await;
    let mut clients = Clients::connect(node.http, outstanding, event, 202).await;
    clients.run(WARM_UP).await;
    let mut rows =
        [Row::baseline("write + fdatasync"), Row::baseline("weft-eventlog append"), Row::ours("weft, 202 over HTTP")];
    let count = outstanding.to_string();
    for _ in 0..ROUNDS {
        for (row, role) in rows.iter_mut().zip(["append-file", "append-log"]) {
            row.samples.push(server::program(&[role, at, &count]).parse().expect("a sample"));
        }
        rows[2].samples.push(Sample::round(&mut clients, node.pid()).await);
    }
    let notes = vec![
        format!(
            "Events of {BODY} bytes, binary mode, {outstanding} connections; every one on disk when it is answered."
        ),
        format!("write + fdatasync: one thread, {outstanding} records at a time into a preallocated file."),
    ];
    Table { title, unit: "events", rows: rows.into(), notes }
}
