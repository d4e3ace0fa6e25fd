//! The one path of a call. Requests, publishes, deliveries, replies and functions' own calls all become a [`call::Call`]
//! and go through [`pipeline::handle`], which asks policy, opens the target with the permit, classifies the outcome and
//! records it, once each.

pub mod again;
pub mod ambiguous;
pub mod attempts;
pub mod call;
pub mod caller;
pub mod canonical;
pub mod circuit;
pub mod decision;
pub mod decisions;
pub mod envelope;
#[cfg(test)]
pub(crate) mod fixture;
pub mod history;
pub mod identity_fields;
pub mod nested;
pub mod open_calls;
pub mod outcome;
pub mod outgoing;
pub mod pipeline;
pub mod policy;
pub mod quota;
pub mod record;
pub mod refusals;
pub mod routes;
#[cfg(weft_defects)]
pub mod seeded;
pub mod snapshot;
pub mod spiffe;
pub mod tokens;

use std::sync::Arc;

use arc_swap::ArcSwap;

use self::envelope::Envelopes;
use self::history::History;
use self::open_calls::{Asked, Cut, OpenCalls};
use self::policy::Decision;
use self::record::{Judged, Records};
use self::snapshot::Snapshot;
use crate::targets::backend::Backend;
use crate::targets::topics::Room;
use crate::targets::upstream::Upstream;

/// What the path needs of the node: the current snapshot, where records go, the way out, and who judges tokens.
pub struct Mesh {
    snapshot: ArcSwap<Snapshot>,
    /// Where each call is recorded.
    pub records: Records,
    /// The calls that are going on.
    pub open: Arc<OpenCalls>,
    /// How kept events say who stands behind them.
    pub envelopes: Arc<Envelopes>,
    /// What was in force before.
    pub history: History,
    /// What answers permitted calls to functions.
    pub backend: Backend,
    /// The client for addresses outside.
    pub upstream: Upstream,
    /// How names become addresses here.
    pub names: routes::Names,
    /// What verifies the tokens that requests carry.
    pub tokens: Arc<dyn tokens::Tokens>,
    /// Room for publishes that are under way.
    pub room: Room,
}

impl Mesh {
    /// A mesh that begins with `snapshot`.
    pub fn new(
        snapshot: Snapshot,
        records: Records,
        envelopes: Arc<Envelopes>,
        backend: Backend,
        upstream: Upstream,
        names: routes::Names,
        tokens: Arc<dyn tokens::Tokens>,
    ) -> Arc<Self> {
        let history = History::default();
        history.enter(&snapshot, records.now_ms());
        let (snapshot, open) = (ArcSwap::from_pointee(snapshot), Arc::default());
        let room = Room::default();
        Arc::new(Self { snapshot, records, open, envelopes, history, backend, upstream, names, tokens, room })
    }

    /// The snapshot in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts a new snapshot in force, whole. Calls that are going on are another matter: [`Self::judge_open_calls`].
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.history.enter(&snapshot, self.records.now_ms());
        self.snapshot.store(snapshot);
    }

    /// Whether this snapshot, and not one put in its place meanwhile, is in force.
    pub fn is_in_force(&self, snapshot: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.snapshot.load(), snapshot)
    }

    /// Judges every call that is going on by the snapshot in force, and cuts off those that it no longer permits.
    /// When it resolves, none of them goes on. A target that is gone lets its calls end.
    pub async fn judge_open_calls(&self) {
        let snapshot = self.snapshot();
        let cut = self.open.sweep(|asked| refused(&snapshot, asked)).await;
        if cut > 0 {
            tracing::info!(calls = cut, snapshot = snapshot.number, "calls were cut off: they are no longer permitted");
        }
    }
}

/// Why a call would be refused by this snapshot: it has no Issuer for the caller's token, or policy forbids it.
fn refused(snapshot: &Snapshot, asked: &Asked) -> Option<Cut> {
    if let Some(failure) = tokens::withdrawn(snapshot, &asked.caller) {
        return Some(Cut { failure, judged: None });
    }
    match policy::decide(snapshot, asked.question()) {
        Decision::Denied(denied) if denied.failure.reason.is_policy() => {
            let judged = Some(Judged::by(snapshot, &denied.labels, asked));
            Some(Cut { failure: denied.failure, judged })
        }
        _ => None,
    }
}
