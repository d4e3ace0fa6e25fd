//! What was in force before: the rules of the last snapshots, and where the resources were written that calls were aimed
//! at. Whoever asks why a past decision fell as it did asks here, so that the answer is that of then and not of now. What
//! runs functions and keeps events is not held on to: a deleted function goes, whatever can still be explained of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weft_eventlog::Sequence;
use weft_functions::filter::Filters;
use weft_functions::function::Limits;
use weft_functions::manifest::{Kind, Location, ResourceId};
use weft_functions::value::Namespaced;

use super::snapshot::Snapshot;

/// Snapshots whose rules are kept.
pub const KEPT: usize = 256;

/// The last snapshots, as far as explanations need them.
#[derive(Default)]
pub struct History(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    past: VecDeque<Past>,
    /// Which filters each trigger had, and from which event of its topic on.
    filters: HashMap<Namespaced, Vec<(Sequence, Filters)>>,
    /// What was known of each resource, and from which snapshot on; `None` from where it was gone.
    facts: HashMap<ResourceId, Vec<Version>>,
}

type Version = (u64, Option<Arc<Facts>>);

/// The rules of one snapshot.
#[derive(Clone)]
pub struct Past {
    /// The snapshot's policies, with nothing deployed.
    pub rules: Arc<Snapshot>,
    /// When it was put in force, Unix milliseconds.
    pub since_ms: u64,
}

/// What an explanation says of a resource.
#[derive(Debug, PartialEq, Eq)]
pub struct Facts {
    /// Where it was written.
    pub source: Location,
    /// Of a function: the revision that took its calls, and what a call may use.
    pub revision: Option<(String, Limits)>,
}

impl History {
    /// Remembers that this snapshot was put in force. One of the same number takes the place of the one before: the same
    /// desired state, of which more could be put in force.
    pub fn enter(&self, snapshot: &Snapshot, at_ms: u64) {
        let mut inner = self.inner();
        let again = inner.past.back().is_some_and(|last| last.rules.number == snapshot.number);
        let before = again.then(|| inner.past.pop_back()).flatten();
        let rules = Arc::new(Snapshot::of_policy(snapshot.number, snapshot.policy.clone()));
        inner.past.push_back(Past { rules, since_ms: before.map_or(at_ms, |before| before.since_ms) });
        inner.learn(snapshot);
        if inner.past.len() > KEPT {
            inner.past.pop_front();
            inner.forget();
        }
    }

    /// The rules of the snapshot of this number, if they are still kept.
    pub fn rules(&self, number: u64) -> Option<Past> {
        self.inner().past.iter().rev().find(|past| past.rules.number == number).cloned()
    }

    /// What was known of a resource when the snapshot of this number was in force.
    pub fn facts(&self, number: u64, id: &ResourceId) -> Option<Arc<Facts>> {
        let inner = self.inner();
        let versions = inner.facts.get(id)?;
        versions.iter().rev().find(|(since, _)| *since <= number)?.1.clone()
    }

    /// Filters of one trigger that are kept.
    pub const GENERATIONS: usize = 32;

    /// Remembers that a trigger has these filters from this event of its topic on.
    pub fn learn_filters(&self, trigger: &Namespaced, from: Sequence, filters: Filters) {
        let mut inner = self.inner();
        let known = inner.filters.entry(trigger.clone()).or_default();
        // What it never came to with the filters before was not judged by them.
        known.retain(|(earlier, _)| *earlier < from);
        known.push((from, filters));
        let surplus = known.len().saturating_sub(Self::GENERATIONS);
        known.drain(..surplus);
    }

    /// Forgets the filters of a trigger that is gone.
    pub fn forget_filters(&self, trigger: &Namespaced) {
        self.inner().filters.remove(trigger);
    }

    /// The filters that a trigger had when it came to this event of its topic; `None` if that is not known.
    pub fn filters(&self, trigger: &Namespaced, sequence: Sequence) -> Option<Filters> {
        let inner = self.inner();
        let known = inner.filters.get(trigger)?;
        known.iter().rev().find(|(from, _)| *from <= sequence).map(|(_, filters)| filters.clone())
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Adds a version of each resource that is not as it was.
    fn learn(&mut self, snapshot: &Snapshot) {
        let mut gone: Vec<ResourceId> = Vec::new();
        for (id, versions) in &self.facts {
            if matches!(versions.last(), Some((_, Some(_)))) && !has(snapshot, id) {
                gone.push(id.clone());
            }
        }
        for id in gone {
            self.version(id, snapshot.number, None);
        }
        for (name, function) in &snapshot.functions {
            let revision = Some((function.revision.name().to_owned(), function.resource.spec.limits));
            let facts = Facts { source: function.resource.location.clone(), revision };
            self.version(id(Kind::Function, name), snapshot.number, Some(facts));
        }
        for (name, topic) in &snapshot.topics {
            let facts = Facts { source: topic.resource.location.clone(), revision: None };
            self.version(id(Kind::Topic, name), snapshot.number, Some(facts));
        }
        for (name, trigger) in &snapshot.triggers {
            let facts = Facts { source: trigger.resource.location.clone(), revision: None };
            self.version(id(Kind::Trigger, name), snapshot.number, Some(facts));
        }
    }

    fn version(&mut self, id: ResourceId, number: u64, facts: Option<Facts>) {
        let versions = self.facts.entry(id).or_default();
        let same = versions.last().is_some_and(|(_, last)| last.as_deref() == facts.as_ref());
        if same {
            return;
        }
        // Two snapshots of one number: the later one counts.
        versions.retain(|(since, _)| *since != number);
        versions.push((number, facts.map(Arc::new)));
    }

    /// Forgets versions that no kept snapshot needs.
    fn forget(&mut self) {
        let Some(oldest) = self.past.front().map(|past| past.rules.number) else { return };
        self.facts.retain(|_, versions| {
            let superseded = versions.iter().filter(|(since, _)| *since <= oldest).count().saturating_sub(1);
            versions.drain(..superseded);
            !matches!(versions.as_slice(), [(since, None)] if *since <= oldest)
        });
    }
}

fn id(kind: Kind, name: &Namespaced) -> ResourceId {
    ResourceId { kind, namespace: name.namespace.clone(), name: name.name.clone() }
}

fn has(snapshot: &Snapshot, id: &ResourceId) -> bool {
    let name = id.namespaced();
    match id.kind {
        Kind::Function => snapshot.functions.contains_key(&name),
        Kind::Topic => snapshot.topics.contains_key(&name),
        Kind::Trigger => snapshot.triggers.contains_key(&name),
        Kind::Policy | Kind::Namespace | Kind::Issuer => false,
    }
}

#[cfg(test)]
mod tests {
    use weft_eventlog::MemoryLog;

    use super::*;
    use crate::path::fixture;
    use crate::path::policy::Default as Verdict;

    /// A snapshot with these topics, each written at a line of its own.
    async fn snapshot(number: u64, topics: &[(&str, u32)]) -> Snapshot {
        let mut snapshot = fixture::snapshot(number, Verdict::Allow, "");
        for (name, line) in topics {
            let text = format!(
                "{}apiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: {{ name: {name} }}\n",
                "\n".repeat(*line as usize - 1)
            );
            fixture::deploy(&mut snapshot, &MemoryLog::default(), &text).await;
        }
        snapshot
    }

    fn line(history: &History, number: u64, name: &str) -> Option<u32> {
        let id = id(Kind::Topic, &name.parse().expect("a name"));
        history.facts(number, &id).map(|facts| facts.source.line)
    }

    #[tokio::test]
    async fn the_past_is_as_it_was() {
        let history = History::default();
        history.enter(&snapshot(1, &[("orders", 1)]).await, 10);
        history.enter(&snapshot(2, &[("orders", 1), ("invoices", 5)]).await, 20);
        history.enter(&snapshot(2, &[("orders", 1), ("invoices", 6)]).await, 25);
        history.enter(&snapshot(3, &[("invoices", 6)]).await, 30);
        history.enter(&snapshot(4, &[("orders", 9), ("invoices", 6)]).await, 40);
        for (number, orders, invoices) in [
            (1, Some(1), None),
            (2, Some(1), Some(6)),
            (3, None, Some(6)),
            (4, Some(9), Some(6)),
            (5, Some(9), Some(6)),
        ] {
            assert_eq!(
                (line(&history, number, "orders"), line(&history, number, "invoices")),
                (orders, invoices),
                "{number}"
            );
        }
        let since = |number| history.rules(number).map(|past| past.since_ms);
        assert_eq!([since(1), since(2), since(3), since(5)], [Some(10), Some(20), Some(30), None]);
    }

    #[tokio::test]
    async fn it_ends_somewhere() {
        let history = History::default();
        let last = KEPT as u64 * 2;
        for number in 1..=last {
            // One is always there, one is written elsewhere each time, one is there at the beginning only.
            let topics: &[(&str, u32)] = match number {
                1 => &[("always", 1), ("short", 3)],
                _ => &[("always", 1)],
            };
            let mut now = snapshot(number, topics).await;
            let moving = snapshot(number, &[("moving", number as u32)]).await;
            now.topics.extend(moving.topics);
            history.enter(&now, number);
        }
        assert!(history.rules(last - KEPT as u64).is_none());
        assert!(history.rules(last - KEPT as u64 + 1).is_some());
        assert_eq!(line(&history, last, "always"), Some(1));
        assert_eq!(line(&history, last - 7, "moving"), Some(last as u32 - 7));
        let inner = history.inner();
        assert_eq!(inner.past.len(), KEPT);
        let versions = |name: &str| inner.facts.get(&id(Kind::Topic, &name.parse().expect("a name"))).map(Vec::len);
        assert_eq!([versions("always"), versions("moving"), versions("short")], [Some(1), Some(KEPT), None]);
    }
}
