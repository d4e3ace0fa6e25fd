//! What an apply leaves behind once its snapshot is in force: replaced revisions, positions of deleted triggers, events
//! of deleted topics, modules nobody names. None of it can fail the apply; what fails is logged, and what matters is
//! tried again at the next start.

use std::collections::BTreeSet;
use std::time::Duration;

use weft_eventlog::LogError;
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::value::Namespaced;
use weft_runtime::{Revision, Runtime};

use super::super::desired::Desired;
use super::super::modules::ModuleDigest;
use super::Parts;
use crate::path::again::{Again, Kind as Kinds};
use crate::path::snapshot::Snapshot;

/// How long a replaced revision still takes calls: those that read the old snapshot just before the swap and have not
/// reached the revision yet. Between the two lie a policy decision and the wait for the first byte of the body, which a
/// client may take 15 s for (`edge::body::BodyLimits::idle`).
const GRACE: Duration = Duration::from_secs(20);

/// Lets go of what `after` no longer has. `modules`: those that are still named.
pub(super) async fn after_swap(parts: &Parts, before: &Snapshot, after: &Snapshot, modules: BTreeSet<ModuleDigest>) {
    let replaced = before.functions.values().filter(|old| {
        let new = after.functions.get(&old.name);
        new.is_none_or(|new| {
            new.revision.name() != old.revision.name() || new.revision.digest() != old.revision.digest()
        })
    });
    let replaced: Vec<Revision> = replaced.map(|function| function.revision.clone()).collect();
    if !replaced.is_empty() {
        let unnamed = replaced.iter().map(Revision::digest).filter(|digest| !modules.contains(&(*digest).into()));
        tokio::spawn(retire(parts.runtime.clone(), unnamed.collect(), replaced));
    }
    let store = parts.modules.clone();
    match tokio::task::spawn_blocking(move || store.sweep(&modules)).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::warn!(%error, "cannot remove modules that nobody names"),
        Err(error) => tracing::warn!(%error, "removing modules that nobody names did not end"),
    }
}

/// Ends revisions after their grace, and removes the artifacts of modules that nobody names.
async fn retire(runtime: Runtime, unnamed: BTreeSet<[u8; 32]>, revisions: Vec<Revision>) {
    tokio::time::sleep(GRACE).await;
    revisions.iter().for_each(Revision::retire);
    drop(revisions);
    for digest in unnamed {
        // One that is named again by now is kept: the runtime removes nothing that a revision needs.
        if let Err(error) = runtime.forget(digest).await {
            tracing::warn!(module = %ModuleDigest::from(digest), %error, "cannot remove a compiled artifact");
        }
    }
}

/// The positions in the event log that belong to no desired trigger: a crash or an error came before their deletion.
pub(super) async fn orphans(parts: &Parts, desired: &Desired) -> Vec<ResourceId> {
    let names = match parts.log.consumers().await {
        Ok(names) => names,
        Err(error) => {
            tracing::warn!(%error, "cannot list the positions of triggers; those of deleted ones stay until a later start");
            return Vec::new();
        }
    };
    // A lane is its trigger's.
    let lane = |name: &str| {
        Kinds::ALL.iter().find_map(|kind| name.strip_suffix(kind.as_str())?.strip_suffix('/').map(ToOwned::to_owned))
    };
    let names = names.iter().filter_map(|name| lane(name).as_ref().unwrap_or(name).parse::<Namespaced>().ok());
    let names: BTreeSet<Namespaced> = names.collect();
    let ids =
        names.into_iter().map(|Namespaced { namespace, name }| ResourceId { kind: Kind::Trigger, namespace, name });
    ids.filter(|id| !desired.entries.contains_key(id)).collect()
}

/// Deletes the data of deleted triggers, then of deleted topics. What is gone already is fine.
pub(super) async fn delete_data(parts: &Parts, gone: &[ResourceId]) {
    for trigger in gone.iter().filter(|id| id.kind == Kind::Trigger) {
        let name = trigger.namespaced().to_string();
        if let Err(error) = Again::delete(parts.log.as_ref(), &trigger.namespaced()).await {
            tracing::warn!(trigger = %name, %error, "cannot delete what a trigger was to get once more");
        }
        match parts.log.delete_consumer(&name).await {
            Ok(counters) => tracing::info!(trigger = %name, cancelled = counters.cancelled, "deleted a trigger"),
            Err(LogError::NotFound { .. }) => {}
            Err(error) => tracing::warn!(trigger = %name, %error, "cannot delete a trigger's position"),
        }
    }
    for topic in gone.iter().filter(|id| id.kind == Kind::Topic) {
        let name = topic.namespaced().to_string();
        if let Err(error) = parts.log.delete_topic(&name).await {
            tracing::warn!(topic = %name, %error, "cannot delete a topic's events");
        }
    }
}
