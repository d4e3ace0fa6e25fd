//! What the node's own books must say when everything has been sent: a record of every call, the same on every path; the
//! counters; and what really happened to functions and topics.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use weft_tests::access::Line;
use weft_tests::{Ask, Served, eventually_within};

use super::difference::Difference;
use super::mesh;
use super::model::Expected;
use super::paths::{Path, Row};
use super::record::{self, Place, Same, Way};
use super::table::{TARGETS, Target, callers};
use super::{AT_ONCE, Rows};

/// How long all events may take to come to their ends on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until every event has come to its end and the node has recorded a call for every place.
pub(super) async fn recorded(node: &Served, rows: &Rows<'_>) -> BTreeMap<Place, Vec<Line>> {
    let places = places(rows);
    eventually_within(PATIENCE, "a record of every call", async || {
        let lines = record::arranged(node.access());
        let all = places.iter().all(|place| lines.contains_key(place));
        let pending = node.scrape().await.sum("weft_trigger_events_pending", &[("namespace", mesh::CARRIER)]);
        (all && pending == 0).then_some(lines)
    })
    .await
}

fn places(rows: &Rows<'_>) -> Vec<Place> {
    let place = |(row, _): &(Row<'_>, _), path| (row.workload.id.clone(), row.target.full(), path);
    rows.iter().flat_map(|row| Path::ALL.map(|path| place(row, path))).collect()
}

/// The records of every row beside what the table says, and beside each other.
pub(super) async fn records(node: &Served, rows: &Rows<'_>, lines: &BTreeMap<Place, Vec<Line>>) -> Vec<Difference> {
    let places = places(rows);
    let read = places.iter().map(|place| async move {
        let [line] = lines[place].as_slice() else {
            return Err(format!("{} records of the call", lines[place].len()));
        };
        let decision = line.get("decision").unwrap_or_default();
        record::read(line, &node.json(&format!("/api/v1/explain/decisions/{decision}")).await)
    });
    let read: Vec<Result<(Same, Way), String>> = stream::iter(read).buffered(AT_ONCE).collect().await;
    let by_row = read.chunks(Path::ALL.len());
    rows.iter().zip(by_row).flat_map(|((row, expected), records)| of_row(row, expected, records)).collect()
}

fn of_row(row: &Row<'_>, expected: &Expected, records: &[Result<(Same, Way), String>]) -> Vec<Difference> {
    let (name, mut wrong) = (row.to_string(), Vec::new());
    let first = records.iter().find_map(|record| record.as_ref().ok());
    for (path, record) in Path::ALL.into_iter().zip(records) {
        let place = (&*name, &*format!("{path:?}"));
        match record {
            Err(why) => wrong.extend(Difference::between(place, "record", &"one that can be read".to_owned(), why)),
            Ok((same, way)) => {
                wrong.extend(Difference::between(place, "decision", expected, &same.decided()));
                wrong.extend(Difference::between(place, "way", &expected_way(row, path), way));
                let labels = (row.target.namespace, row.target.name);
                wrong.extend(Difference::between(place, "labels", &labels, &(&*same.namespace, &*same.target)));
                let other = first.map_or(same, |(first, _)| first);
                wrong.extend(Difference::between(place, "record of another path", other, same));
            }
        }
    }
    wrong
}

/// The verb is the path; what it came through and how it was proven follow from it.
fn expected_way(row: &Row<'_>, path: Path) -> Way {
    let trigger = |name: String| Some(format!("spiffe://weft.local/ns/{}/trigger/{name}", mesh::CARRIER));
    let (verb, via, how) = match path {
        Path::Request => ("request", None, "mtls"),
        Path::Publish => ("publish", None, "mtls"),
        Path::Deliver => ("deliver", trigger(mesh::delivering(row.target)), "signed-event"),
        // It called its own function, which called on.
        Path::Call => ("request", Some(row.workload.id.clone()), "node"),
        Path::Reply => ("publish", trigger(mesh::replying(row.caller, row.target)), "node"),
    };
    Way { verb: verb.to_owned(), via, how: how.to_owned() }
}

/// `weft_calls_total` of each target: the same labels with the same counts for every verb, by the paths that it stands
/// for, and no others.
pub(super) async fn counters(node: &Served, rows: &Rows<'_>) -> Vec<Difference> {
    let scrape = node.scrape().await;
    let mut expect: BTreeMap<(&str, &str, &str, &str, &str), u64> = BTreeMap::new();
    for (row, expected) in rows {
        for verb in Path::ALL.map(Path::verb) {
            let labels = (verb, row.target.namespace, row.target.name, &*expected.verdict, &*expected.code);
            *expect.entry(labels).or_default() += 1;
        }
    }
    let mut wrong = Vec::new();
    for ((verb, namespace, target, verdict, code), count) in &expect {
        let labels =
            [("verb", *verb), ("namespace", *namespace), ("target", *target), ("verdict", *verdict), ("code", *code)];
        let place = (&*format!("all -> {namespace}/{target}"), &*format!("verb {verb}, {verdict} {code}"));
        wrong.extend(Difference::between(place, "calls", count, &scrape.sum("weft_calls_total", &labels)));
    }
    for Target { namespace, name, .. } in TARGETS {
        let all = scrape.sum("weft_calls_total", &[("namespace", namespace), ("target", name)]);
        let place = (&*format!("all -> {namespace}/{name}"), "all");
        wrong.extend(Difference::between(place, "calls", &((callers().count() * Path::ALL.len()) as u64), &all));
    }
    wrong
}

/// What really happened: a function ran and a topic grew for every allowed call, and for no other.
pub(super) async fn effects(node: &Served, rows: &Rows<'_>) -> Vec<Difference> {
    let scrape = node.scrape().await;
    let mut wrong = Vec::new();
    for target in TARGETS {
        let (name, namespace) = (target.name, target.namespace);
        let allowed =
            |(row, expected): &&(Row<'_>, Expected)| row.target.full() == target.full() && expected.verdict == "allow";
        let allowed = rows.iter().filter(allowed).count() as u64;
        let function = node.json(&format!("/api/v1/resources/function/{namespace}/{name}")).await;
        let topic = format!("/api/v1/topics/{namespace}/{name}/events?from=beginning&follow=false");
        let kept = node.ask_admin(Ask::get(topic)).await.text().lines().count() as u64;
        let trigger = mesh::delivering(target);
        let ended = |state| {
            let labels = [("namespace", mesh::CARRIER), ("trigger", &*trigger), ("state", state)];
            scrape.sum("weft_trigger_events_total", &labels)
        };
        let denied = callers().count() as u64 - allowed;
        let compared = [
            ("runs of the function", 3 * allowed, function["status"]["calls"].as_u64().unwrap_or_default()),
            ("events in the topic", 2 * allowed, kept),
            ("events delivered", allowed, ended("delivered")),
            ("events denied", denied, ended("denied")),
        ];
        let place = (&*format!("all -> {}", target.full()), "all");
        wrong.extend(
            compared.into_iter().filter_map(|(what, expect, got)| Difference::between(place, what, &expect, &got)),
        );
    }
    wrong
}
