//! What is deployed, as the path reads it: immutable, numbered, swapped whole. A call loads one snapshot and is judged
//! and routed by that one, whatever is applied meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weft_eventlog::{Consumer, Counters, Topic as TopicLog};
use weft_functions::function::Function;
use weft_functions::issuer::Issuer;
use weft_functions::namespace::Namespace;
use weft_functions::topic::Topic;
use weft_functions::trigger::Trigger;
use weft_functions::value::{Name, Namespaced};
use weft_runtime::Revision;

use super::again::{Again, Kind};
use super::call::Target;
use super::circuit::Circuit;
use super::outcome::Failure;
use super::policy::PolicyIndex;
use super::quota::{Place, Usage};
use super::spiffe::SpiffeId;
use crate::telemetry::metrics::CallSeries;

/// One state of the mesh.
pub struct Snapshot {
    /// The change log's sequence that it follows from.
    pub number: u64,
    /// Functions by name.
    pub functions: HashMap<Namespaced, Arc<DeployedFunction>>,
    /// Topics by name.
    pub topics: HashMap<Namespaced, Arc<DeployedTopic>>,
    /// Triggers by name; ordered, because they are listed more than they are looked up.
    pub triggers: BTreeMap<Namespaced, Arc<DeployedTrigger>>,
    /// All policies, compiled.
    pub policy: PolicyIndex,
    /// The namespaces that have a document of their own.
    pub namespaces: HashMap<Name, Arc<DeployedNamespace>>,
    /// Whose tokens count, ordered by namespace and name. Shared with the snapshot before as long as they stay the same.
    pub issuers: Vec<Arc<Issuer>>,
}

impl Snapshot {
    /// A snapshot of policies alone, which is how every mesh begins.
    pub fn of_policy(number: u64, policy: PolicyIndex) -> Self {
        Self {
            number,
            functions: HashMap::new(),
            topics: HashMap::new(),
            triggers: BTreeMap::new(),
            policy,
            namespaces: HashMap::new(),
            issuers: Vec::new(),
        }
    }

    /// The Issuers of a namespace.
    pub fn issuers_of(&self, namespace: &str) -> &[Arc<Issuer>] {
        let begin = self.issuers.partition_point(|issuer| issuer.metadata.namespace.as_str() < namespace);
        let own = self.issuers[begin..].partition_point(|issuer| issuer.metadata.namespace.as_str() == namespace);
        &self.issuers[begin..begin + own]
    }

    /// Whether the target exists here. What lies outside is not ours to know, so it does.
    pub fn has(&self, target: &Target) -> bool {
        match target {
            Target::Function(name) => self.functions.contains_key(name),
            Target::Topic(name) | Target::Subscription(name) => self.topics.contains_key(name),
            // Whether a resource is there is for the admin API to say, which knows more of it.
            Target::Outside(_) | Target::Resource(_) | Target::Namespace(_) => true,
            Target::Nowhere(_) => false,
        }
    }
}

/// A function with the revision that takes its traffic.
pub struct DeployedFunction {
    /// As it was written.
    pub resource: Function,
    /// `ns/name`.
    pub name: Namespaced,
    /// The identity its outgoing calls have.
    pub identity: SpiffeId,
    /// What runs it.
    pub revision: Revision,
    /// Where its calls count.
    pub series: Arc<CallSeries>,
}

/// A topic with its log.
pub struct DeployedTopic {
    /// As it was written.
    pub resource: Topic,
    /// `ns/name`.
    pub name: Namespaced,
    /// What keeps its events.
    pub log: Arc<dyn TopicLog>,
    /// Where its calls count.
    pub series: Arc<CallSeries>,
}

/// A trigger with its durable state. Its references are resolved to full names.
pub struct DeployedTrigger {
    /// As it was written.
    pub resource: Trigger,
    /// `ns/name`.
    pub name: Namespaced,
    /// The topic it reads.
    pub topic: Namespaced,
    /// The identity under which it writes dead letters and delivers to the outside.
    pub identity: SpiffeId,
    /// What keeps its position.
    pub consumer: Arc<dyn Consumer>,
    /// Whether its target takes events at present. It goes with the destination.
    pub circuit: Arc<Circuit>,
    /// What it gets once more. It goes with the position.
    pub again: Arc<Again>,
}

impl DeployedTrigger {
    /// What its events came to, those included that it got once more.
    pub fn counters(&self) -> Counters {
        let lanes = self.again.lanes().map(|(_, lane)| lane.consumer.counters());
        lanes.fold(self.consumer.counters(), |sum, lane| sum + lane)
    }

    /// Where its dead log `number` is kept: 0 is that of live events, then comes one for each [`Kind`] of events that it
    /// got once more. `None` of one that is not there.
    pub fn dead_log(&self, number: usize) -> Option<&Arc<dyn Consumer>> {
        let Some(lane) = number.checked_sub(1) else { return Some(&self.consumer) };
        Some(&self.again.lane(*Kind::ALL.get(lane)?)?.consumer)
    }
}

/// A namespace with a document of its own.
pub struct DeployedNamespace {
    /// As it was written.
    pub resource: Namespace,
    /// What it uses of its quotas, across snapshots.
    pub usage: Arc<Usage>,
}

impl DeployedNamespace {
    /// A namespace of which nothing is used yet.
    pub fn new(resource: Namespace) -> Self {
        Self { resource, usage: Arc::default() }
    }

    /// Takes a place among the namespace's calls, if it may have one more.
    ///
    /// # Errors
    /// `LIMIT_RATE`
    pub fn enter(&self) -> Result<Place, Failure> {
        self.usage.enter(&self.resource.spec.quotas)
    }
}
