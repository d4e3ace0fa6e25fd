//! The one path of a call. Requests, publishes, deliveries, replies and functions' own calls all become a [`call::Call`]
//! and go through [`pipeline::handle`], which asks policy, opens the target with the permit, classifies the outcome and
//! records it, once each.

pub mod call;
pub mod caller;
pub mod decision;
pub mod envelope;
pub mod nested;
pub mod outcome;
pub mod pipeline;
pub mod policy;
pub mod record;
pub mod routes;
pub mod snapshot;
pub mod spiffe;
pub mod tokens;

use std::sync::Arc;

use arc_swap::ArcSwap;

use self::record::Records;
use self::snapshot::Snapshot;
use crate::targets::upstream::Upstream;

/// What the path needs of the node: the current snapshot, where records go, the way out, and who judges tokens.
pub struct Mesh {
    snapshot: ArcSwap<Snapshot>,
    /// Where each call is recorded.
    pub records: Records,
    /// The client for addresses outside.
    pub upstream: Upstream,
    /// How names become addresses here.
    pub names: routes::Names,
    /// What verifies the tokens that requests carry.
    pub tokens: Arc<dyn tokens::Tokens>,
}

impl Mesh {
    /// A mesh that begins with `snapshot`.
    pub fn new(
        snapshot: Snapshot,
        records: Records,
        upstream: Upstream,
        names: routes::Names,
        tokens: Arc<dyn tokens::Tokens>,
    ) -> Arc<Self> {
        Arc::new(Self { snapshot: ArcSwap::from_pointee(snapshot), records, upstream, names, tokens })
    }

    /// The snapshot in force now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Puts a new snapshot in force, whole.
    pub fn swap(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
    }
}
