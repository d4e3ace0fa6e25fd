//! From a durable desired state to the snapshot that the path reads. Entries that did not change are shared with the
//! snapshot before.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use tokio::sync::OnceCell;
use weft_eventlog::{Consumer, LogError, Start};
use weft_functions::issuer::Issuer;
use weft_functions::manifest::Resource;
use weft_functions::namespace::Namespace;
use weft_functions::policy::Policy;
use weft_functions::trigger::{StartFrom, Trigger};
use weft_functions::value::{Name, Namespaced};

use super::super::desired::Desired;
use super::stage::Stage;
use super::{Lacking, Parts};
use crate::path::again::Again;
use crate::path::policy::{Default, PolicyIndex, Rules};
use crate::path::snapshot::{DeployedNamespace, DeployedTrigger, Snapshot};

/// The snapshot before the first apply.
pub(super) fn empty(default: Default, built_in: &[Arc<Policy>]) -> Snapshot {
    Snapshot::of_policy(0, PolicyIndex::new(default, built_in.iter().cloned()))
}

/// The snapshot of `desired`, and what it lacks. Opens the consumers of new triggers: their position begins only now
/// that they are durable.
pub(super) async fn snapshot(parts: &Parts, before: &Snapshot, desired: &Desired, stage: Stage) -> (Snapshot, Lacking) {
    let Stage { functions, topics, mut lacking, .. } = stage;
    let (mut triggers, mut rules) = (BTreeMap::new(), BTreeMap::new());
    let (mut namespaces, mut issuers) = (HashMap::new(), Vec::new());
    let known = OnceCell::new();
    for policy in &parts.built_in {
        rules_of(&mut rules, &policy.metadata.namespace).policies.push(policy.clone());
    }
    for (id, entry) in &desired.entries {
        match &entry.resource {
            Resource::Function(_) | Resource::Topic(_) => {}
            Resource::Policy(policy) => rules_of(&mut rules, &id.namespace).policies.push(policy.clone()),
            Resource::Issuer(issuer) => issuers.push(shared_issuer(before, issuer)),
            Resource::Namespace(namespace) => {
                let rules = rules_of(&mut rules, &id.name);
                rules.default = namespace.spec.default.map(Default::from);
                rules.source_prefixes = namespace.spec.source_prefixes.clone();
                namespaces.insert(id.name.clone(), shared_namespace(before, namespace));
            }
            Resource::Trigger(trigger) => match deployed(parts, before, trigger, &known).await {
                Ok(deployed) => {
                    triggers.insert(deployed.name.clone(), deployed);
                }
                Err(error) => {
                    tracing::error!(trigger = %id.namespaced(), %error, "cannot open a trigger's position; it does not run");
                    lacking.insert(id.clone(), error.to_string());
                }
            },
        }
    }
    let policy = before.policy.with(rules);
    (Snapshot { number: desired.number, functions, topics, triggers, policy, namespaces, issuers }, lacking)
}

fn rules_of<'a>(rules: &'a mut BTreeMap<Name, Rules>, namespace: &Name) -> &'a mut Rules {
    rules.entry(namespace.clone()).or_default()
}

/// The issuer as the snapshot before has it, if it is the same: whoever keeps keys and verified tokens by it goes on.
fn shared_issuer(before: &Snapshot, issuer: &Issuer) -> Arc<Issuer> {
    let same = before.issuers.iter().find(|current| ***current == *issuer);
    same.cloned().unwrap_or_else(|| Arc::new(issuer.clone()))
}

fn shared_namespace(before: &Snapshot, namespace: &Namespace) -> Arc<DeployedNamespace> {
    match before.namespaces.get(&namespace.metadata.name) {
        Some(current) if current.resource == *namespace => current.clone(),
        Some(current) => {
            let usage = current.usage.clone();
            Arc::new(DeployedNamespace { resource: namespace.clone(), usage })
        }
        None => Arc::new(DeployedNamespace::new(namespace.clone())),
    }
}

/// `known` holds the names of all positions once one of the triggers had to look.
async fn deployed(
    parts: &Parts,
    before: &Snapshot,
    trigger: &Trigger,
    known: &OnceCell<Vec<String>>,
) -> Result<Arc<DeployedTrigger>, LogError> {
    let name = trigger.metadata.namespaced();
    let current = before.triggers.get(&name).filter(|current| current.topic == trigger.spec.topic);
    let consumer = match current {
        Some(current) if current.resource == *trigger => return Ok(current.clone()),
        Some(current) => current.consumer.clone(),
        None => consumer(parts, &name, trigger).await?,
    };
    let identity = parts.trust_domain.trigger(&name);
    let topic = trigger.spec.topic.clone();
    let same_target = current.filter(|current| current.resource.spec.destination == trigger.spec.destination);
    let circuit = same_target.map(|current| current.circuit.clone()).unwrap_or_default();
    let again = match current {
        Some(current) => current.again.clone(),
        None => {
            let again = Arc::<Again>::default();
            let known = known.get_or_try_init(|| parts.log.consumers()).await?;
            again.reopen(parts.log.as_ref(), &name, known).await?;
            again
        }
    };
    Ok(Arc::new(DeployedTrigger { resource: trigger.clone(), name, topic, identity, consumer, circuit, again }))
}

/// Opens the trigger's position. One on another topic is of what this trigger was before: its pending events are
/// cancelled, and it begins anew.
async fn consumer(parts: &Parts, of: &Namespaced, trigger: &Trigger) -> Result<Arc<dyn Consumer>, LogError> {
    let (name, topic) = (of.to_string(), trigger.spec.topic.to_string());
    let start = match trigger.spec.from {
        StartFrom::End => Start::End,
        StartFrom::Beginning => Start::Beginning,
    };
    match parts.log.consumer(&name, &topic, start).await {
        Err(LogError::InUse { .. }) => {
            Again::delete(parts.log.as_ref(), of).await?;
            let counters = parts.log.delete_consumer(&name).await?;
            tracing::warn!(trigger = %name, %topic, cancelled = counters.cancelled, "the trigger reads another topic now");
            parts.log.consumer(&name, &topic, start).await
        }
        opened => opened,
    }
}
