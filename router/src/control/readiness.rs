//! What a node still lacks before it is ready: its phases, and by name each resource that is not in force. `/readyz`
//! reads it; a failed restore stays visible here until somebody mends it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use weft_functions::manifest::ResourceId;

/// The phases of a start, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The event log is open and recovered.
    Log,
    /// All manifests are applied and compiled.
    Manifests,
    /// A worker runs for each trigger.
    Triggers,
    /// All listeners accept.
    Listeners,
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Log, Self::Manifests, Self::Triggers, Self::Listeners];

    fn missing(self) -> &'static str {
        match self {
            Self::Log => "event log: not recovered yet",
            Self::Manifests => "manifests: not applied yet",
            Self::Triggers => "triggers: not running yet",
            Self::Listeners => "listeners: not accepting yet",
        }
    }
}

/// What is missing. A new one lacks every phase.
#[derive(Default)]
pub struct Readiness {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: Vec<Phase>,
    /// Compiling now, while the node starts.
    compiling: Option<ResourceId>,
    /// Desired, and not in force.
    lacking: BTreeMap<ResourceId, String>,
}

impl Readiness {
    /// A phase is complete. It stays so: a node that reloads goes on serving what it has.
    pub fn done(&self, phase: Phase) {
        let mut state = self.lock();
        if !state.done.contains(&phase) {
            state.done.push(phase);
        }
    }

    /// Which function is being compiled, `None` for no one. Holds readiness up only until the manifests are applied.
    pub fn compiling(&self, function: Option<ResourceId>) {
        self.lock().compiling = function;
    }

    /// Replaces the list of resources that are desired and not in force, each with the reason.
    pub fn lacking(&self, lacking: BTreeMap<ResourceId, String>) {
        self.lock().lacking = lacking;
    }

    /// Everything that is missing, for people; empty means ready.
    pub fn missing(&self) -> Vec<String> {
        let state = self.lock();
        let phases = Phase::ALL.into_iter().filter(|phase| !state.done.contains(phase));
        let mut missing: Vec<String> = phases.map(|phase| phase.missing().to_owned()).collect();
        if let Some(id) = state.compiling.as_ref().filter(|_| !state.done.contains(&Phase::Manifests)) {
            missing.push(format!("{}: compiling", lower(id)));
        }
        missing.extend(state.lacking.iter().map(|(id, why)| format!("{}: {why}", lower(id))));
        missing
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `function default/hello`
fn lower(id: &ResourceId) -> String {
    format!("{} {}/{}", id.kind.singular(), id.namespace, id.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_functions::manifest::Kind;

    fn id(name: &str) -> ResourceId {
        ResourceId {
            kind: Kind::Function,
            namespace: "default".parse().expect("a name"),
            name: name.parse().expect("a name"),
        }
    }

    #[test]
    fn a_node_is_ready_when_nothing_is_missing() {
        let readiness = Readiness::default();
        assert_eq!(readiness.missing().len(), Phase::ALL.len());
        readiness.done(Phase::Log);
        readiness.compiling(Some(id("hello")));
        assert_eq!(
            readiness.missing(),
            [
                "manifests: not applied yet",
                "triggers: not running yet",
                "listeners: not accepting yet",
                "function default/hello: compiling",
            ]
        );
        for phase in Phase::ALL {
            readiness.done(phase);
        }
        assert_eq!(readiness.missing(), [""; 0], "compiling after the start holds nothing up");
        readiness.lacking(BTreeMap::from([(id("gone"), "its module is not in the store".to_owned())]));
        assert_eq!(readiness.missing(), ["function default/gone: its module is not in the store"]);
        readiness.lacking(BTreeMap::new());
        assert_eq!(readiness.missing(), [""; 0]);
    }
}
