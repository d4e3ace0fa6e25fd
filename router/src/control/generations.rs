//! Which filters a trigger had when: a miss leaves no trace but a count, so whoever asks about an event of the past is
//! answered by the filters that were in force when the trigger came to it. Kept in a journal, so that a restart does not
//! change the answer; the path's history holds them for explanations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use weft_eventlog::{EventLog, Journal, LogError, Sequence};
use weft_functions::filter::Filters;
use weft_functions::manifest::{Location, Resource};
use weft_functions::value::Namespaced;

use crate::path::history::History;
use crate::path::snapshot::{DeployedTrigger, Snapshot};

/// The journal's name in the event log.
const JOURNAL: &str = "weft-system/filters";

/// Entries after which a checkpoint is made.
const COMPACT_AFTER: usize = 256;

/// The format of an entry.
const FORMAT: u32 = 1;

/// From where in its topic on a trigger had these filters. A trigger that is gone has `null`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    format: u32,
    trigger: String,
    from: u64,
    /// The trigger as a manifest.
    resource: Option<Value>,
}

/// The generations of all triggers.
pub struct Generations {
    journal: Arc<dyn Journal>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of each trigger, oldest first; as many as the history keeps.
    known: BTreeMap<Namespaced, Vec<(Entry, Filters)>>,
    /// Entries since the checkpoint.
    entries: usize,
}

impl Generations {
    /// Reads what is kept into `history`.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn open(log: &dyn EventLog, history: &History) -> Result<Self, LogError> {
        let journal = log.journal(JOURNAL).await?;
        let contents = journal.read_all().await?;
        let mut state = State { entries: contents.entries.len(), ..State::default() };
        let checkpoint =
            contents.checkpoint.iter().flat_map(|checkpoint| checkpoint.bytes.split(|byte| *byte == b'\n'));
        for bytes in checkpoint.chain(contents.entries.iter().map(|entry| &entry.bytes[..])) {
            // An entry of another version answers nothing; nothing but explanations depends on it.
            if let Some((trigger, entry)) = read(bytes) {
                state.learn(trigger, entry, history);
            }
        }
        Ok(Self { journal, state: Mutex::new(state) })
    }

    /// Notes the filters of this snapshot that are new, before anybody delivers by them.
    pub async fn note(&self, snapshot: &Snapshot, history: &History) {
        let mut state = self.state.lock().await;
        let mut fresh: Vec<(Namespaced, Entry)> = Vec::new();
        for (name, trigger) in &snapshot.triggers {
            let last = state.known.get(name).and_then(|known| known.last());
            if last.is_none_or(|(_, filters)| *filters != trigger.resource.spec.filters) {
                fresh.push((name.clone(), entry(name, trigger)));
            }
        }
        let gone = state.known.keys().filter(|name| !snapshot.triggers.contains_key(*name));
        let gone: Vec<(Namespaced, Entry)> = gone.map(|name| (name.clone(), Entry::gone(name))).collect();
        for (trigger, entry) in fresh.into_iter().chain(gone) {
            if let Err(error) = self.journal.append(text(&entry)).await {
                tracing::warn!(%trigger, %error, "cannot keep which filters a trigger has; later explanations may be wrong");
            }
            state.entries += 1;
            state.learn(trigger, entry, history);
        }
        if state.entries >= COMPACT_AFTER {
            self.compact(&mut state).await;
        }
    }

    async fn compact(&self, state: &mut State) {
        let kept = match self.journal.read_all().await {
            Ok(contents) => contents.entries.last().map(|entry| entry.sequence.next()),
            Err(error) => {
                tracing::warn!(%error, "cannot read which filters triggers had");
                return;
            }
        };
        let Some(before) = kept else { return };
        let all: Vec<Bytes> = state.known.values().flatten().map(|(entry, _)| text(entry)).collect();
        match self.journal.compact(before, all.join(&b'\n').into()).await {
            Ok(()) => state.entries = 0,
            Err(error) => tracing::warn!(%error, "cannot make a checkpoint of which filters triggers had"),
        }
    }
}

impl State {
    fn learn(&mut self, trigger: Namespaced, entry: Entry, history: &History) {
        let Some(filters) = entry.resource.as_ref().and_then(filters) else {
            self.known.remove(&trigger);
            history.forget_filters(&trigger);
            return;
        };
        history.learn_filters(&trigger, Sequence::new(entry.from), filters.clone());
        let known = self.known.entry(trigger).or_default();
        known.push((entry, filters));
        let surplus = known.len().saturating_sub(History::GENERATIONS);
        known.drain(..surplus);
    }
}

impl Entry {
    fn gone(trigger: &Namespaced) -> Self {
        Self { format: FORMAT, trigger: trigger.to_string(), from: 0, resource: None }
    }
}

fn entry(name: &Namespaced, trigger: &DeployedTrigger) -> Entry {
    let resource = Resource::Trigger(trigger.resource.clone()).to_json();
    let from = trigger.consumer.first_new().get();
    Entry { format: FORMAT, trigger: name.to_string(), from, resource: Some(resource) }
}

fn read(bytes: &[u8]) -> Option<(Namespaced, Entry)> {
    let entry: Entry = serde_json::from_slice(bytes).ok()?;
    (entry.format == FORMAT).then_some(())?;
    Some((entry.trigger.parse().ok()?, entry))
}

/// The filters of a trigger's manifest.
fn filters(resource: &Value) -> Option<Filters> {
    let location = Location { file: JOURNAL.into(), line: 1, column: 1 };
    let parsed = Resource::from_json(resource, location).ok()?;
    match parsed {
        Resource::Trigger(trigger) => Some(trigger.spec.filters),
        _ => None,
    }
}

fn text(entry: &Entry) -> Bytes {
    // Texts and numbers always have a JSON form, in one line.
    serde_json::to_vec(entry).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use weft_eventlog::{MemoryLog, NewRecord, Settlement, Start, Terminal, TopicConfig};
    use weft_functions::manifest::{SourceFile, parse};

    use super::*;
    use crate::path::fixture;
    use crate::path::policy::Default as Verdict;

    async fn snapshot(log: &MemoryLog, number: u64, filter: Option<&str>) -> Snapshot {
        let mut snapshot = fixture::snapshot(number, Verdict::Allow, "");
        let Some(filter) = filter else { return snapshot };
        let text = format!(
            "apiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: out }}\n\
             spec: {{ topic: orders, url: 'http://x/', filters: [ {filter} ] }}\n"
        );
        let Resource::Trigger(resource) = parse(&[SourceFile::new("app.yaml", text)]).expect("a trigger").remove(0)
        else {
            panic!("not a trigger")
        };
        let (name, topic) = (resource.metadata.namespaced(), resource.spec.topic.clone());
        log.topic("default/orders", TopicConfig::default()).await.expect("a topic");
        let consumer = log.consumer(&name.to_string(), "default/orders", Start::End).await.expect("a consumer");
        let identity = fixture::names().trust_domain.trigger(&name);
        let (circuit, again) = Default::default();
        let deployed = DeployedTrigger { resource, name: name.clone(), topic, identity, consumer, circuit, again };
        snapshot.triggers.insert(name, Arc::new(deployed));
        snapshot
    }

    /// Lets the trigger come to `events` more.
    async fn pass(log: &MemoryLog, snapshot: &Snapshot, events: usize) {
        let topic = log.topic("default/orders", TopicConfig::default()).await.expect("a topic");
        topic.append(vec![NewRecord::default(); events]).await.expect("kept");
        let consumer = &snapshot.triggers.values().next().expect("a trigger").consumer;
        let leases = consumer.lease(events).await.expect("leases");
        assert_eq!(leases.len(), events);
        for lease in leases {
            consumer.settle(&lease, Settlement::Done(Terminal::Delivered)).await.expect("settled");
        }
    }

    #[tokio::test]
    async fn an_event_is_explained_by_the_filters_of_its_time() {
        let (log, history) = (MemoryLog::default(), History::default());
        let generations = Generations::open(&log, &history).await.expect("opens");
        let one = snapshot(&log, 1, Some("{ exact: { type: a } }")).await;
        generations.note(&one, &history).await;
        pass(&log, &one, 10).await;
        let two = snapshot(&log, 2, Some("{ exact: { type: b } }")).await;
        generations.note(&two, &history).await;
        pass(&log, &two, 5).await;
        // The same filters once more are no generation.
        generations.note(&two, &history).await;

        let found = History::default();
        let reopened = Generations::open(&log, &found).await.expect("opens");
        let name: Namespaced = "default/out".parse().expect("a name");
        for history in [&history, &found] {
            for (sequence, expect) in [(1, "a"), (10, "a"), (11, "b"), (15, "b"), (99, "b")] {
                let filters = history.filters(&name, Sequence::new(sequence)).expect("filters");
                assert!(format!("{filters:?}").contains(&format!("\"{expect}\"")), "{sequence}: {filters:?}");
            }
        }
        reopened.note(&snapshot(&log, 3, None).await, &found).await;
        assert!(found.filters(&name, Sequence::FIRST).is_none(), "a trigger that is gone has none");
        let last = History::default();
        Generations::open(&log, &last).await.expect("opens");
        assert!(last.filters(&name, Sequence::FIRST).is_none());
    }

    #[tokio::test]
    async fn generations_are_bounded_and_survive_a_checkpoint() {
        let (log, history) = (MemoryLog::default(), History::default());
        let generations = Generations::open(&log, &history).await.expect("opens");
        for number in 0..COMPACT_AFTER as u64 + 10 {
            let now = snapshot(&log, number, Some(&format!("{{ exact: {{ type: t{number} }} }}"))).await;
            generations.note(&now, &history).await;
            pass(&log, &now, 1).await;
        }
        let journal = log.journal(JOURNAL).await.expect("a journal").read_all().await.expect("contents");
        assert!(journal.checkpoint.is_some() && journal.entries.len() < COMPACT_AFTER);
        let found = History::default();
        Generations::open(&log, &found).await.expect("opens");
        let name: Namespaced = "default/out".parse().expect("a name");
        for history in [&history, &found] {
            let of = |sequence| history.filters(&name, Sequence::new(sequence)).map(|filters| format!("{filters:?}"));
            let last = COMPACT_AFTER as u64 + 10;
            assert!(of(last).expect("the last").contains(&format!("t{}", last - 1)));
            assert!(of(last - 5).expect("one before").contains(&format!("t{}", last - 6)));
            assert_eq!(of(1), None, "too long ago");
        }
    }
}
