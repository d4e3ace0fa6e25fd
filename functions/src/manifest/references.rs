//! Whether every resource that is named exists. Needs the whole desired state, which one file is not: so it is a step of
//! its own, after parsing.

use std::collections::BTreeSet;

use super::agreement::disagreements;
use super::findings::Findings;
use super::problem::{Code, Place, Problem};
use super::reader::Field;
use super::{Kind, Resource, ResourceId, SYSTEM_NAMESPACE, suggest};
use crate::value::Namespaced;

/// A resource that another one names, and the line on which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    role: Role,
    kind: Kind,
    to: Namespaced,
    place: Place,
}

/// What the named resource is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A trigger reads from it, or delivers to it.
    Uses,
    /// A trigger appends to it, so that it must not be what the trigger reads.
    Appends,
    /// A policy binds it.
    Binds,
}

impl Reference {
    /// The reference that `field` makes.
    pub(crate) fn new(role: Role, kind: Kind, to: &Namespaced, field: &Field<'_>, out: &Findings<'_>) -> Self {
        Self { role, kind, to: to.clone(), place: field.place(out) }
    }

    fn id(&self) -> ResourceId {
        ResourceId { kind: self.kind, namespace: self.to.namespace.clone(), name: self.to.name.clone() }
    }
}

/// Checks that what the resources of a whole desired state name exists, that no trigger feeds itself, and that they go
/// together. Problems are at the lines that name, in the order of the resources.
///
/// - A trigger's topic, function, `reply` topic and `deadLetter` topic exist.
/// - A policy's targets exist; those of a policy in `weft-system` in any namespace.
/// - `reply` and `deadLetter` do not lead into the topic that the trigger reads: each event would make the next.
/// - No two Issuers that count in one namespace describe the same `issuer`, or ones whose `<iss>/<sub>` could be the same.
/// - No namespace has more functions than its quota.
pub fn check_references(resources: &[Resource]) -> Vec<Problem> {
    let known: BTreeSet<ResourceId> = resources.iter().map(Resource::id).collect();
    let mut problems: Vec<Problem> = resources.iter().flat_map(|resource| problems_of(resource, &known)).collect();
    problems.extend(disagreements(resources));
    problems
}

fn problems_of(resource: &Resource, known: &BTreeSet<ResourceId>) -> Vec<Problem> {
    let mesh_wide = resource.metadata().namespace == SYSTEM_NAMESPACE;
    let mut problems = Vec::new();
    for reference in resource.references() {
        let exists = match reference.role {
            Role::Binds if mesh_wide => {
                known.iter().any(|id| id.kind == reference.kind && id.name == reference.to.name)
            }
            _ => known.contains(&reference.id()),
        };
        if !exists {
            problems.push(unknown(resource, reference, known));
        } else if reference.role == Role::Appends && reads(resource, reference) {
            let message = format!(
                "`{}` leads into {}, which this trigger reads: every event would make another; name a different topic",
                reference.place.path, reference.to
            );
            problems.push(reference.place.problem(Code::BadValue, message));
        }
    }
    problems
}

/// Whether the resource reads the topic that the reference names.
fn reads(resource: &Resource, reference: &Reference) -> bool {
    resource.references().iter().any(|other| other.role == Role::Uses && other.id() == reference.id())
}

fn unknown(resource: &Resource, reference: &Reference, known: &BTreeSet<ResourceId>) -> Problem {
    let home = &resource.metadata().namespace;
    let kind = reference.kind;
    let alike = known.iter().filter(|id| id.kind == kind);
    let near = alike.clone().filter(|id| id.namespace == reference.to.namespace).map(|id| id.name.as_str());
    let elsewhere = alike.clone().find(|id| id.name == reference.to.name);
    let hint = match (suggest::nearest(reference.to.name.as_str(), near), elsewhere) {
        (Some(name), _) => format!("did you mean `{name}`?"),
        (None, Some(id)) => format!("did you mean `{}`?", id.namespaced()),
        (None, None) => format!("add a {} of that name", kind.as_str()),
    };
    let message = format!("there is no {} {}: {hint}", kind.singular(), reference.to.relative_to(home));
    reference.place.problem(Code::UnknownReference, message)
}
