//! Who would miss a resource that goes. Separate from the check of references, which reports what is missing where it is
//! written: this names the users of something that is about to be deleted.

use weft_functions::manifest::{Kind, Resource, ResourceId, SYSTEM_NAMESPACE};
use weft_functions::policy::Policy;
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;

use super::Desired;

/// Whether `resource` names `gone`, and nothing in `after` stands for it.
pub(super) fn misses(resource: &Resource, gone: &ResourceId, after: &Desired) -> bool {
    let is =
        |kind: Kind, name: &Namespaced| gone.kind == kind && gone.namespace == name.namespace && gone.name == name.name;
    match resource {
        Resource::Function(_) | Resource::Topic(_) | Resource::Namespace(_) | Resource::Issuer(_) => false,
        Resource::Trigger(trigger) => {
            let spec = &trigger.spec;
            let function = match &spec.destination {
                Destination::Function { function, .. } => Some(function),
                Destination::Url(_) => None,
            };
            let mut topics = [Some(&spec.topic), spec.reply.as_ref(), spec.delivery.dead_letter.as_ref()].into_iter();
            topics.any(|topic| topic.is_some_and(|topic| is(Kind::Topic, topic)))
                || function.is_some_and(|function| is(Kind::Function, function))
        }
        Resource::Policy(policy) => policy_misses(policy, gone, after),
    }
}

/// A policy binds by name in its own namespace; one of the mesh in any, so that another of that name will do.
fn policy_misses(policy: &Policy, gone: &ResourceId, after: &Desired) -> bool {
    let bound = policy.spec.targets.iter().any(|target| target.kind == gone.kind && target.name == gone.name);
    if policy.metadata.namespace == *SYSTEM_NAMESPACE {
        bound && !after.entries.keys().any(|id| id.kind == gone.kind && id.name == gone.name)
    } else {
        bound && policy.metadata.namespace == gone.namespace
    }
}
