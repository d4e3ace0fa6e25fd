//! What an apply prepares before it is durable: compiled functions and open topics. All of it can be undone, so that a
//! failure leaves everything as it was.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use weft_eventlog::{Durability, TopicConfig, WhenFull};
use weft_functions::function::{self, Function};
use weft_functions::manifest::{Problem, Resource, ResourceId};
use weft_functions::topic::{self, Topic, TopicSpec};
use weft_functions::value::Namespaced;
use weft_runtime::{DeployError, FunctionName, Isolation, Limits, Module, Recycle, Revision, RevisionSpec, Scale};

use super::super::desired::{Desired, Entry, Plan};
use super::super::modules::{ModuleDigest, ModuleError};
use super::error::ApplyError;
use super::{Lacking, Parts};
use crate::path::snapshot::{DeployedFunction, DeployedTopic, Snapshot};

/// What is prepared.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) functions: HashMap<Namespaced, Arc<DeployedFunction>>,
    pub(super) topics: HashMap<Namespaced, Arc<DeployedTopic>>,
    /// What could not be prepared and is not part of the plan.
    pub(super) lacking: Lacking,
    /// Revisions that were not there before.
    fresh: Vec<Revision>,
    /// Topics that were opened with another configuration before.
    reconfigured: Vec<Namespaced>,
}

/// Why a function was not deployed.
enum Failure {
    /// The module or the manifest is wrong.
    Function(String),
    /// The node could not do it now.
    Node(String),
}

impl Stage {
    /// Prepares the state `wanted`. Whatever of the plan fails, fails the whole, after all of it was tried; what fails
    /// beside it is only noted.
    ///
    /// # Errors
    /// `Mistakes` in modules, `Unavailable`; the stage has been undone then.
    pub(super) async fn set(
        parts: &Parts,
        before: &Snapshot,
        wanted: &Desired,
        plan: &Plan,
    ) -> Result<Self, ApplyError> {
        let mut stage = Self::default();
        let mut failures = stage.fill(parts, before, wanted).await;
        failures.retain(|id, failure| {
            let planned = plan.put.contains_key(id);
            if !planned {
                let (Failure::Function(why) | Failure::Node(why)) = failure;
                stage.lacking.insert(id.clone(), why.clone());
            }
            planned
        });
        if failures.is_empty() {
            return Ok(stage);
        }
        stage.undo(parts, before).await;
        Err(refusal(failures, plan))
    }

    /// Prepares a state that is durable already; what fails is noted.
    pub(super) async fn restore(parts: &Parts, before: &Snapshot, wanted: &Desired) -> Self {
        let mut stage = Self::default();
        for (id, failure) in stage.fill(parts, before, wanted).await {
            let (Failure::Function(why) | Failure::Node(why)) = failure;
            tracing::error!(resource = %id, %why, "cannot restore a resource; it stays out of force");
            stage.lacking.insert(id, why);
        }
        stage
    }

    /// Takes back what was prepared.
    pub(super) async fn undo(self, parts: &Parts, before: &Snapshot) {
        self.fresh.iter().for_each(Revision::retire);
        for name in &self.reconfigured {
            let Some(topic) = before.topics.get(name) else { continue };
            if let Err(error) = parts.log.topic(&name.to_string(), config(&topic.resource.spec)).await {
                tracing::error!(topic = %name, %error, "cannot give a topic its configuration back");
            }
        }
    }

    async fn fill(&mut self, parts: &Parts, before: &Snapshot, wanted: &Desired) -> BTreeMap<ResourceId, Failure> {
        let mut failures = BTreeMap::new();
        for (id, entry) in &wanted.entries {
            let filled = match &entry.resource {
                Resource::Function(function) => self.function(parts, before, id, entry, function).await,
                Resource::Topic(topic) => self.topic(parts, before, topic).await,
                Resource::Trigger(_) | Resource::Policy(_) | Resource::Namespace(_) | Resource::Issuer(_) => Ok(()),
            };
            filled.err().and_then(|failure| failures.insert(id.clone(), failure));
        }
        failures
    }

    async fn function(
        &mut self,
        parts: &Parts,
        before: &Snapshot,
        id: &ResourceId,
        entry: &Entry,
        function: &Function,
    ) -> Result<(), Failure> {
        let name = function.metadata.namespaced();
        let (Some(module), Some(revision_name)) = (entry.module, entry.revision_name()) else {
            return Err(Failure::Node("its module is not known".to_owned()));
        };
        let current = before
            .functions
            .get(&name)
            .filter(|deployed| deployed.revision.name() == revision_name && deployed.revision.digest() == module.get());
        let revision = match current {
            Some(deployed) if deployed.resource == *function => {
                self.functions.insert(name, deployed.clone());
                return Ok(());
            }
            // Only its place in the manifests is another.
            Some(deployed) => deployed.revision.clone(),
            None => {
                parts.readiness.compiling(Some(id.clone()));
                let revision = deploy(parts, function, &revision_name, module).await;
                parts.readiness.compiling(None);
                let revision = revision?;
                self.fresh.push(revision.clone());
                revision
            }
        };
        let identity = parts.trust_domain.function(&name);
        let (resource, series) = (function.clone(), Arc::default());
        let deployed = DeployedFunction { resource, name: name.clone(), identity, revision, series };
        self.functions.insert(name, Arc::new(deployed));
        Ok(())
    }

    async fn topic(&mut self, parts: &Parts, before: &Snapshot, topic: &Topic) -> Result<(), Failure> {
        let name = topic.metadata.namespaced();
        let current = before.topics.get(&name);
        if let Some(deployed) = current.filter(|deployed| deployed.resource == *topic) {
            self.topics.insert(name, deployed.clone());
            return Ok(());
        }
        if current.is_some() {
            self.reconfigured.push(name.clone());
        }
        let opened = parts.log.topic(&name.to_string(), config(&topic.spec)).await;
        let log = opened.map_err(|error| Failure::Node(format!("cannot open topic {name}: {error}")))?;
        let deployed = DeployedTopic { resource: topic.clone(), name: name.clone(), log, series: Arc::default() };
        self.topics.insert(name, Arc::new(deployed));
        Ok(())
    }
}

fn refusal(failures: BTreeMap<ResourceId, Failure>, plan: &Plan) -> ApplyError {
    let mut problems: Vec<Problem> = Vec::new();
    for (id, failure) in failures {
        match (failure, plan.put.get(&id).map(|entry| &entry.resource)) {
            (Failure::Function(why), Some(Resource::Function(function))) => {
                problems.push(function.module_problem(why));
            }
            (Failure::Node(why) | Failure::Function(why), _) => return ApplyError::Unavailable(why),
        }
    }
    // They bring their lines with them.
    ApplyError::mistakes(problems, &[])
}

/// Deploys by digest, which takes no compilation when the artifact is here, and by the stored bytes otherwise.
async fn deploy(parts: &Parts, function: &Function, revision: &str, module: ModuleDigest) -> Result<Revision, Failure> {
    let spec = revision_spec(function, revision, Module::Digest(module.get()));
    match parts.runtime.deploy(spec.clone()).await {
        Err(DeployError::UnknownDigest { .. } | DeployError::Artifact(_)) => {}
        deployed => return deployed.map_err(failure),
    }
    let name = function.metadata.namespaced();
    tracing::info!(target: "weft::deploy", function = %name, revision, "compiling {name}");
    let store = parts.modules.clone();
    let bytes = tokio::task::spawn_blocking(move || store.get(module)).await;
    let bytes = match bytes {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error @ (ModuleError::Unknown(_) | ModuleError::Damaged(_)))) => {
            return Err(Failure::Function(error.to_string()));
        }
        Ok(Err(error)) => return Err(Failure::Node(error.to_string())),
        Err(error) => return Err(Failure::Node(format!("cannot read module {module}: {error}"))),
    };
    parts.runtime.deploy(RevisionSpec { module: Module::Bytes(bytes), ..spec }).await.map_err(failure)
}

fn failure(error: DeployError) -> Failure {
    match error {
        DeployError::Busy | DeployError::Draining | DeployError::Artifact(_) => Failure::Node(error.to_string()),
        other => Failure::Function(other.to_string()),
    }
}

fn revision_spec(function: &Function, revision: &str, module: Module) -> RevisionSpec {
    let Function { metadata, spec, .. } = function;
    // What a person writes under these names wins: it is their function.
    let own = [
        ("WEFT_NAMESPACE", metadata.namespace.as_str()),
        ("WEFT_FUNCTION", metadata.name.as_str()),
        ("WEFT_REVISION", revision),
    ];
    let own = own.into_iter().filter(|(name, _)| !spec.env.contains_key(*name));
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let limits = &spec.limits;
    let isolation = match spec.isolation {
        function::Isolation::Request => Isolation::Request,
        function::Isolation::Revision(recycle) => Isolation::Revision(Recycle {
            calls: recycle.calls,
            age: recycle.age.get(),
            memory: recycle.memory.bytes(),
        }),
    };
    RevisionSpec {
        function: FunctionName { namespace: metadata.namespace.as_str().into(), name: metadata.name.as_str().into() },
        revision: revision.into(),
        module,
        env: own.chain(spec.env.clone()).collect(),
        limits: Limits {
            memory: limits.memory.bytes(),
            cpu: limits.cpu.get(),
            timeout: limits.timeout.get(),
            idle: limits.idle.get(),
            stream: limits.stream.get(),
        },
        scale: Scale { min: spec.scale.min, max: spec.scale.max, idle: spec.scale.idle.get(), queue: spec.scale.queue },
        isolation,
    }
}

fn config(spec: &TopicSpec) -> TopicConfig {
    let retention = &spec.retention;
    TopicConfig {
        durability: match spec.durability {
            topic::Durability::Strict => Durability::Strict,
            topic::Durability::Relaxed => Durability::Relaxed,
        },
        retention_age: retention.age.get(),
        retention_bytes: retention.size.bytes(),
        full: match retention.full {
            topic::WhenFull::Refuse => WhenFull::Refuse,
            topic::WhenFull::DropOldest => WhenFull::DropOldest,
        },
        dedupe_window: spec.dedupe.get(),
        ..TopicConfig::default()
    }
}
