//! Why a call gets the answer it gets: for a request or event that nobody has sent yet, and for a decision of the past.
//! Nothing is decided here: the same `decide` is asked as on the path, and what it answers is put into words. Asking
//! changes nothing: no function is started, nothing is kept, nothing is counted but the question.

mod contract;
mod deliveries;
mod rehearsal;
mod situation;
mod tree;

use std::sync::Arc;

use http::request::Parts;
use weft_functions::event::Event;
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::value::Namespaced;

pub use self::contract::Explained;
pub use self::deliveries::{Delivered, Found, Search};
pub use self::rehearsal::{AsWhom, BadIdentity};
use self::situation::Situation;
pub use self::tree::Tree;
use super::refusals::RefusalLog;
use crate::path::Mesh;
use crate::path::call::Target;
use crate::path::caller::Caller;
use crate::path::decision::DecisionId;
use crate::path::decisions::Kept;
use crate::path::policy::{Encoding, OwnedQuestion};
use crate::path::snapshot::Snapshot;

/// Explains what this node decides and decided.
pub struct Explainer {
    mesh: Arc<Mesh>,
    refusals: Arc<RefusalLog>,
}

/// A decision that can be explained.
pub enum Past {
    /// It is kept in memory.
    Kept(Box<Explained>, Option<ResourceId>),
    /// It was written down by this node or by one that ran before it: as it was explained then.
    Written(serde_json::Value),
}

impl Explainer {
    /// Explains by what `mesh` has in force and remembers, and by what was written to `refusals`.
    pub fn new(mesh: Arc<Mesh>, refusals: Arc<RefusalLog>) -> Self {
        Self { mesh, refusals }
    }

    /// What a request would mean: from outside, or by one of the functions of this mesh if `caller` is one.
    pub fn aim(&self, head: Parts, caller: &Caller) -> (Parts, crate::path::routes::Routed) {
        rehearsal::aim(&self.mesh.names, &self.mesh.snapshot(), head, caller)
    }

    /// What would become of a request.
    pub fn request(&self, head: &Parts, routed: crate::path::routes::Routed, caller: Caller) -> Explained {
        let snapshot = self.mesh.snapshot();
        let question = rehearsal::of_request(head, routed, caller);
        self.rehearsed(&snapshot, &question)
    }

    /// What would become of an event, at the topic and at each of its triggers.
    pub fn event(&self, topic: &Namespaced, event: &Event, caller: Caller) -> Explained {
        let snapshot = self.mesh.snapshot();
        let question = rehearsal::of_event(&self.mesh.names, topic, event, caller.clone());
        let mut explained = self.rehearsed(&snapshot, &question);
        explained.event = Some(rehearsal::subscriptions(&snapshot, topic, event, &caller));
        explained
    }

    fn rehearsed(&self, snapshot: &Arc<Snapshot>, question: &OwnedQuestion) -> Explained {
        let past = self.mesh.history.rules(snapshot.number);
        let facts = resource(question).and_then(|id| self.mesh.history.facts(snapshot.number, &id));
        Situation {
            now_ms: self.mesh.records.now_ms(),
            number: snapshot.number,
            since_ms: past.map(|past| past.since_ms),
            question: Some(question),
            facts,
        }
        .foreseen(snapshot)
    }

    /// A decision by its id: from memory, else from what was written down; `None` if neither has it.
    ///
    /// # Errors
    /// What was written down cannot be read.
    pub async fn decision(&self, id: DecisionId) -> Result<Option<Past>, String> {
        if let Some(kept) = self.mesh.records.kept(id) {
            let question = Encoding::decode(&kept.inputs);
            let resource = question.as_ref().and_then(resource);
            return Ok(Some(Past::Kept(Box::new(self.remembered(id, &kept, question.as_ref())), resource)));
        }
        Ok(self.refusals.find(id).await?.map(Past::Written))
    }

    /// The decision of this number, for whoever writes it down; `None` if it is not kept any more.
    pub fn by_number(&self, number: u64) -> Option<Explained> {
        let kept = self.mesh.records.decisions().get(number)?;
        let question = Encoding::decode(&kept.inputs);
        Some(self.remembered(self.mesh.records.id(number), &kept, question.as_ref()))
    }

    fn remembered(&self, id: DecisionId, kept: &Kept, question: Option<&OwnedQuestion>) -> Explained {
        let past = self.mesh.history.rules(kept.snapshot);
        let facts = question.and_then(resource).and_then(|id| self.mesh.history.facts(kept.snapshot, &id));
        let situation = Situation {
            now_ms: self.mesh.records.now_ms(),
            number: kept.snapshot,
            since_ms: past.as_ref().map(|past| past.since_ms),
            question,
            facts,
        };
        situation.remembered(id, kept, past.map(|past| past.rules).as_deref())
    }

    /// What can be read of an event in the topics' logs, and how far each trigger came with it.
    pub async fn delivery(&self, search: &Search, may: impl Fn(&Namespaced) -> bool) -> Result<Found, String> {
        deliveries::explain(&self.mesh, search, may).await
    }

    /// The tree of events that an event belongs to, as far as the logs have it.
    pub async fn tree(&self, found: &Delivered, may: impl Fn(&Namespaced) -> bool) -> Result<Tree, String> {
        tree::grow(&self.mesh, found, may).await
    }
}

/// The resource that a question is about, as policies name it.
fn resource(question: &OwnedQuestion) -> Option<ResourceId> {
    let id = |kind, name: &Namespaced| ResourceId { kind, namespace: name.namespace.clone(), name: name.name.clone() };
    match &question.target {
        Target::Function(name) => Some(id(Kind::Function, name)),
        Target::Topic(name) | Target::Subscription(name) => Some(id(Kind::Topic, name)),
        Target::Outside(outside) => Some(id(outside.owner_kind, &outside.owner)),
        Target::Resource(id) => Some(id.clone()),
        Target::Namespace(_) | Target::Nowhere(_) => None,
    }
}

#[cfg(test)]
mod tests;
