//! Which events led to which: from the ids that the mesh derives for what is published in a delivery. They stand in the
//! topics' logs, so the tree reaches as far back as the topics keep their events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use weft_eventlog::{Record, Sequence};
use weft_functions::value::Namespaced;

use super::deliveries::{Delivered, Kept, kept, page};
use crate::path::Mesh;
use crate::path::snapshot::Snapshot;

/// Events in a tree; more are counted.
const NODES_MAX: usize = 1_000;

/// Events that are looked through for children, over all topics.
const SEARCHED_MAX: u64 = 1_000_000;

/// Events looked through at once.
const PAGE: u64 = 1_024;

/// A tree of events.
#[derive(Debug, Serialize)]
pub struct Tree {
    /// The event.
    pub event: Kept,
    /// The trigger whose delivery published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// As what: `reply`, `dead letter`, or `publish` of the function itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Whether it is the one that was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asked: bool,
    /// What its deliveries published.
    pub led_to: Vec<Tree>,
}

type Place = (Namespaced, Sequence);

/// Events by the event whose delivery published them.
type Children = BTreeMap<Place, Vec<Leaf>>;

/// An event on its own.
struct Leaf {
    place: Place,
    event: Kept,
    by: Option<String>,
    role: Option<&'static str>,
}

/// What a derived id says.
struct Derived {
    parent: Place,
    trigger: String,
    role: &'static str,
}

/// The whole tree: up to the first event that is kept, and everything below that one.
pub(super) async fn grow(
    mesh: &Arc<Mesh>,
    found: &Delivered,
    may: impl Fn(&Namespaced) -> bool,
) -> Result<Tree, String> {
    let snapshot = mesh.snapshot();
    let mut root = found.place.clone();
    let mut seen = BTreeSet::from([root.clone()]);
    while let Some(record) = record(&snapshot, &root, &may).await? {
        match derived(&record).map(|derived| derived.parent) {
            // Ids cannot form a circle unless somebody wrote the log by hand.
            Some(parent) if record_exists(&snapshot, &parent) && may(&parent.0) && seen.insert(parent.clone()) => {
                root = parent;
            }
            _ => break,
        }
    }
    let top = record(&snapshot, &root, &may).await?.ok_or("its first event is gone meanwhile")?;
    let mut children = children(mesh, &snapshot, top.admitted_ms, &may).await?;
    let mut left = NODES_MAX;
    Ok(node(leaf(mesh, &root.0, &top), &mut children, &found.place, &mut left))
}

/// Everything in the logs that a delivery published since then.
async fn children(
    mesh: &Mesh,
    snapshot: &Snapshot,
    since_ms: u64,
    may: &impl Fn(&Namespaced) -> bool,
) -> Result<Children, String> {
    let mut children = Children::new();
    let mut left = SEARCHED_MAX;
    for (name, topic) in snapshot.topics.iter().filter(|(name, _)| may(name)) {
        let next = topic.log.bounds().next.get();
        // What an event led to came after it.
        let mut from = topic.log.find_by_time(since_ms).await.map_err(|error| error.to_string())?.get();
        while from < next && left > 0 {
            let until = from.saturating_add(PAGE).min(next);
            left = left.saturating_sub(until - from);
            for record in page(topic.log.as_ref(), from, until).await? {
                if let Some(derived) = derived(&record) {
                    children.entry(derived.parent).or_default().push(leaf(mesh, name, &record));
                }
            }
            from = until;
        }
    }
    Ok(children)
}

fn leaf(mesh: &Mesh, topic: &Namespaced, record: &Record) -> Leaf {
    let (by, role) = derived(record).map(|derived| (derived.trigger, derived.role)).unzip();
    Leaf { place: (topic.clone(), record.sequence), event: kept(mesh, topic, record), by, role }
}

fn node(leaf: Leaf, children: &mut Children, asked: &Place, left: &mut usize) -> Tree {
    let Leaf { place, event, by, role } = leaf;
    let mut led_to = Vec::new();
    for child in children.remove(&place).unwrap_or_default() {
        if *left == 0 {
            break;
        }
        *left -= 1;
        led_to.push(node(child, children, asked, left));
    }
    Tree { event, by, role, asked: place == *asked, led_to }
}

async fn record(
    snapshot: &Snapshot,
    (name, sequence): &Place,
    may: &impl Fn(&Namespaced) -> bool,
) -> Result<Option<Record>, String> {
    let Some(topic) = snapshot.topics.get(name).filter(|_| may(name)) else { return Ok(None) };
    let records = page(topic.log.as_ref(), sequence.get(), sequence.get().saturating_add(1)).await?;
    Ok(records.into_iter().find(|record| record.sequence == *sequence))
}

fn record_exists(snapshot: &Snapshot, (name, sequence): &Place) -> bool {
    snapshot.topics.get(name).is_some_and(|topic| {
        let bounds = topic.log.bounds();
        (bounds.first..bounds.next).contains(sequence)
    })
}

/// Reads `derived/NS/TOPIC/SEQUENCE/NS/TRIGGER/ROLE`, as `path::call::Cause` writes it.
fn derived(record: &Record) -> Option<Derived> {
    let id = record.dedupe.as_ref()?.id.strip_prefix("derived/")?;
    let mut parts = id.splitn(6, '/');
    let mut next = || parts.next();
    let (namespace, topic, sequence) = (next()?, next()?, next()?);
    let (trigger_namespace, trigger, role) = (next()?, next()?, next()?);
    let topic = format!("{namespace}/{topic}").parse().ok()?;
    let role = match role.split('/').next() {
        Some("reply") => "reply",
        Some("dead") => "dead letter",
        _ => "publish",
    };
    let trigger = format!("{trigger_namespace}/{trigger}");
    Some(Derived { parent: (topic, sequence.parse().ok()?), trigger, role })
}

#[cfg(test)]
mod tests;
