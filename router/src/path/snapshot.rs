//! What is deployed, as the path reads it: immutable, numbered, swapped whole. A call loads one snapshot and is judged
//! and routed by that one, whatever is applied meanwhile.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weft_eventlog::{Consumer, Topic as TopicLog};
use weft_functions::function::Function;
use weft_functions::topic::Topic;
use weft_functions::trigger::Trigger;
use weft_functions::value::Namespaced;
use weft_runtime::Revision;

use super::call::Target;
use super::policy::PolicyIndex;
use super::spiffe::SpiffeId;

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
}

impl Snapshot {
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
}

/// A topic with its log.
pub struct DeployedTopic {
    /// As it was written.
    pub resource: Topic,
    /// `ns/name`.
    pub name: Namespaced,
    /// What keeps its events.
    pub log: Arc<dyn TopicLog>,
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
}
