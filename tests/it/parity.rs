//! One identity and one policy for requests and events: whoever may do something may do it by every path, and whoever may
//! not may by none (design, sections 2 and 5).
//!
//! [`table`] says who calls what and which policies stand between, [`model`] what must come of it. Each row is sent as a
//! request, as a published event, as an event that is delivered, as a call from function to function and as a reply event;
//! answers, records, metrics and effects are compared with the model and with each other.

mod cold;
mod difference;
mod ledger;
mod mesh;
mod model;
mod paths;
mod record;
mod table;

use futures_util::stream::{self, StreamExt};
use weft_tests::{Served, Site, Workload};

use self::difference::Difference;
use self::model::Expected;
use self::paths::{Path, Row};
use self::table::{Caller, TARGETS, callers, id};

/// Rows at least: fewer would not be the promise.
const ROWS_MIN: usize = 300;

/// Calls under way at a time.
const AT_ONCE: usize = 8;

/// The table: each row with what must come of it.
type Rows<'a> = [(Row<'a>, Expected)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_comes_to_the_same_on_every_path() {
    let site = Site::new().await;
    let workloads: Vec<(Caller, Workload)> = callers().map(|caller| (caller, site.mint(&id(caller)))).collect();
    for guest in ["echo", "relay"] {
        site.guest(guest);
    }
    let node = site.start_with_access_log().await;
    node.apply(&mesh::manifests()).await;
    let rows = rows(&workloads);
    let allowed = rows.iter().filter(|(_, expected)| expected.verdict == "allow").count();
    let refused = rows.len() - allowed;
    assert!(rows.len() >= ROWS_MIN, "the table has {} rows", rows.len());
    assert!(4 * allowed.min(refused) >= rows.len(), "{allowed} rows allowed and {refused} refused: one-sided");

    let mut wrong = send(&node, &rows).await;
    let lines = ledger::recorded(&node, &rows).await;
    wrong.extend(ledger::records(&node, &rows, &lines).await);
    wrong.extend(ledger::counters(&node, &rows).await);
    wrong.extend(ledger::effects(&node, &rows).await);
    let said = difference::list(&wrong);
    println!("{} rows ({allowed} allowed, {refused} refused) x {} paths: {said}", rows.len(), Path::ALL.len());
    assert!(wrong.is_empty(), "{said}");
    node.stop().await;
}

fn rows(workloads: &[(Caller, Workload)]) -> Vec<(Row<'_>, Expected)> {
    let mut rows = Vec::new();
    for (caller, workload) in workloads {
        for target in TARGETS {
            let expected = model::expect(*caller, target, &mesh::binding(target));
            rows.push((Row { caller: *caller, workload, target }, expected));
        }
    }
    rows
}

/// Sends every row by every path. What clients saw and should not have.
async fn send(node: &Served, rows: &Rows<'_>) -> Vec<Difference> {
    let calls = rows.iter().flat_map(|row| Path::ALL.map(|path| (row, path)));
    let answers = calls.map(|((row, expected), path)| row.go(path, node.mtls, expected.verdict == "allow"));
    stream::iter(answers).buffer_unordered(AT_ONCE).filter_map(async |wrong| wrong).collect().await
}
