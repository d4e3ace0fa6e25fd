//! The desired state, and what an apply would change in it. Pure: the live apply, a dry run and the change log's replay
//! use the same code, and every rule of ownership and reference is a table test.

mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weft_functions::manifest::{Code, Kind, Location, Problem, Resource, ResourceId, check_references};

use self::references::misses;
use super::modules::ModuleDigest;

/// Who may change a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The watched folder.
    File,
    /// Whoever uses the admin API.
    Api,
}

impl Owner {
    /// The word in the change log and the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
        }
    }
}

/// A desired resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it was written. Its location says where.
    pub resource: Resource,
    /// Who may change it.
    pub owner: Owner,
    /// The module of a function; `None` for other kinds.
    pub module: Option<ModuleDigest>,
    /// Counts the changes of a function, from 1; 0 for other kinds.
    pub revision: u32,
    /// The snapshot since which it is like this.
    pub changed_in: u64,
}

impl Entry {
    /// The name of a function's revision, such as `hello-00002`; `None` for other kinds.
    pub fn revision_name(&self) -> Option<String> {
        let function = self.resource.kind() == Kind::Function;
        function.then(|| format!("{}-{:05}", self.resource.metadata().name, self.revision))
    }
}

/// All desired resources. Entries are shared between successive states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// The snapshot that this state is: the change log's sequence of its last change, 0 before the first.
    pub number: u64,
    /// By kind, namespace and name.
    pub entries: BTreeMap<ResourceId, Arc<Entry>>,
}

/// What an apply covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The admin API's documents: they are added to what is there.
    Merge,
    /// The whole watched folder: what the folder owned and no longer has is deleted.
    Replace,
}

impl Scope {
    /// Who owns what is applied so.
    pub const fn owner(self) -> Owner {
        match self {
            Self::Merge => Owner::Api,
            Self::Replace => Owner::File,
        }
    }
}

/// A resource to apply, with its module if it is a function.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The checked resource.
    pub resource: Resource,
    /// The function's module.
    pub module: Option<ModuleDigest>,
}

/// What an apply would do.
#[derive(Debug, Default)]
pub struct Plan {
    /// Created or changed.
    pub put: BTreeMap<ResourceId, Entry>,
    /// Unchanged, though perhaps written elsewhere now.
    pub kept: BTreeMap<ResourceId, Entry>,
    /// No longer desired.
    pub delete: BTreeSet<ResourceId>,
    /// The same for people, ordered by resource.
    pub changes: Vec<Change>,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What happens.
    pub what: ChangeKind,
    /// To which resource.
    pub id: ResourceId,
    /// The revision of a function, after the change.
    pub revision: Option<String>,
}

/// What happens to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It was not there.
    Created,
    /// Its spec or its module differs.
    Changed,
    /// It stays as it is.
    Unchanged,
    /// It goes.
    Deleted,
}

impl ChangeKind {
    /// The word in the admin API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }
}

/// A resource that somebody else owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Which.
    pub id: ResourceId,
    /// Where the watched folder says so.
    pub by: Location,
}

/// A resource that others name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    /// Which.
    pub id: ResourceId,
    /// Who names it.
    pub by: Vec<ResourceId>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlanError {
    /// The documents have mistakes.
    Mistakes(Vec<Problem>),
    /// The watched folder owns these.
    Owned(Vec<Owned>),
    /// Others still name these.
    InUse(Vec<InUse>),
    /// There is nothing of that name to delete.
    NotFound(ResourceId),
}

/// What applying `incoming` would change.
///
/// # Errors
/// `Mistakes`, `Owned`, `InUse`: nothing may be changed then.
pub fn plan(current: &Desired, incoming: Vec<Incoming>, scope: Scope) -> Result<Plan, PlanError> {
    let owner = scope.owner();
    let (mut plan, mut owned, mut problems) = (Plan::default(), Vec::new(), Vec::new());
    let mut named = BTreeSet::new();
    for incoming in incoming {
        let id = incoming.resource.id();
        named.insert(id.clone());
        match (current.entries.get(&id), owner) {
            (Some(entry), Owner::Api) if entry.owner == Owner::File => {
                owned.push(Owned { id, by: entry.resource.location().clone() });
            }
            (Some(entry), Owner::File) if entry.owner == Owner::Api => problems.push(api_owned(&incoming.resource)),
            (entry, owner) => plan.put(id, entry.map(Arc::as_ref), incoming, owner),
        }
    }
    if scope == Scope::Replace {
        let vanished = |(id, entry): &(&ResourceId, &Arc<Entry>)| entry.owner == owner && !named.contains(*id);
        current.entries.iter().filter(vanished).for_each(|(id, _)| plan.delete(id));
    }
    if !owned.is_empty() {
        return Err(PlanError::Owned(owned));
    }
    plan.finish(current, &named, problems)
}

/// What deleting one resource through the admin API would change.
///
/// # Errors
/// `NotFound`, `Owned`, `InUse`.
pub fn plan_delete(current: &Desired, id: &ResourceId) -> Result<Plan, PlanError> {
    let entry = current.entries.get(id).ok_or_else(|| PlanError::NotFound(id.clone()))?;
    if entry.owner == Owner::File {
        return Err(PlanError::Owned(vec![Owned { id: id.clone(), by: entry.resource.location().clone() }]));
    }
    let mut plan = Plan::default();
    plan.delete(id);
    plan.finish(current, &BTreeSet::new(), Vec::new())
}

fn api_owned(resource: &Resource) -> Problem {
    let metadata = resource.metadata();
    let (kind, name, namespace) = (resource.kind().singular(), &metadata.name, &metadata.namespace);
    let message = format!(
        "{kind} {namespace}/{name} was applied through the api and is not this folder's to change; \
         run `weft delete {kind} {name} -n {namespace}` first, or remove this document"
    );
    Problem::new(resource.location().clone(), "metadata.name", Code::DuplicateResource, message)
}

impl Plan {
    /// Whether the desired state stays the same.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty()
    }

    /// The resources that it creates, changes or deletes.
    pub fn touched(&self) -> Vec<ResourceId> {
        let touched = self.changes.iter().filter(|change| change.what != ChangeKind::Unchanged);
        touched.map(|change| change.id.clone()).collect()
    }

    /// How many resources fare so.
    pub fn count(&self, what: ChangeKind) -> usize {
        self.changes.iter().filter(|change| change.what == what).count()
    }

    /// What the plan deletes that has data of its own: a trigger's position, and the events of a topic that somebody
    /// deleted. A topic that vanished from the folder keeps them, since a file can vanish by mistake.
    pub fn data_lost(&self, current: &Desired) -> Vec<ResourceId> {
        let api_owned = |id: &ResourceId| current.entries.get(id).is_some_and(|entry| entry.owner == Owner::Api);
        let has_data = |id: &&ResourceId| match id.kind {
            Kind::Trigger => true,
            Kind::Topic => api_owned(id),
            Kind::Function | Kind::Policy | Kind::Namespace | Kind::Issuer => false,
        };
        self.delete.iter().filter(has_data).cloned().collect()
    }

    fn put(&mut self, id: ResourceId, before: Option<&Entry>, incoming: Incoming, owner: Owner) {
        let Incoming { resource, module } = incoming;
        let same = before.is_some_and(|entry| entry.module == module && same_spec(&entry.resource, &resource));
        let what = match before {
            None => ChangeKind::Created,
            Some(_) if same => ChangeKind::Unchanged,
            Some(_) => ChangeKind::Changed,
        };
        let revision = match (before, resource.kind()) {
            (Some(entry), Kind::Function) if same => entry.revision,
            (entry, Kind::Function) => entry.map_or(0, |entry| entry.revision).saturating_add(1),
            _ => 0,
        };
        let changed_in = before.map_or(0, |entry| entry.changed_in);
        let entry = Entry { resource, owner, module, revision, changed_in };
        self.changes.push(Change { what, id: id.clone(), revision: entry.revision_name() });
        if same {
            self.kept.insert(id, entry)
        } else {
            self.put.insert(id, entry)
        };
    }

    fn delete(&mut self, id: &ResourceId) {
        self.changes.push(Change { what: ChangeKind::Deleted, id: id.clone(), revision: None });
        self.delete.insert(id.clone());
    }

    /// Checks that everything named exists afterwards. `named`: the resources of the documents, whose own mistakes are
    /// reported at their lines; others that lose what they name are listed as users.
    fn finish(
        mut self,
        current: &Desired,
        named: &BTreeSet<ResourceId>,
        mut problems: Vec<Problem>,
    ) -> Result<Self, PlanError> {
        self.changes.sort_by(|a, b| a.id.cmp(&b.id));
        let after = current.after(&self, current.number);
        let users = |id: &ResourceId| -> Vec<ResourceId> {
            let others = after.entries.iter().filter(|(user, _)| !named.contains(*user));
            others.filter(|(_, entry)| misses(&entry.resource, id, &after)).map(|(user, _)| user.clone()).collect()
        };
        let in_use = self.delete.iter().map(|id| InUse { id: id.clone(), by: users(id) });
        let in_use: Vec<InUse> = in_use.filter(|in_use| !in_use.by.is_empty()).collect();
        if in_use.is_empty() {
            let resources: Vec<Resource> = after.entries.values().map(|entry| entry.resource.clone()).collect();
            problems.extend(check_references(&resources));
        }
        match (problems.is_empty(), in_use.is_empty()) {
            (true, true) => Ok(self),
            (true, false) => Err(PlanError::InUse(in_use)),
            (false, _) => Err(PlanError::Mistakes(problems)),
        }
    }
}

impl Desired {
    /// The state after `plan`, as snapshot `number`.
    #[must_use]
    pub fn after(&self, plan: &Plan, number: u64) -> Self {
        let mut entries = self.entries.clone();
        entries.retain(|id, _| !plan.delete.contains(id));
        let put = plan.put.iter().map(|(id, entry)| (id.clone(), Entry { changed_in: number, ..entry.clone() }));
        let kept = plan.kept.iter().map(|(id, entry)| (id.clone(), entry.clone()));
        entries.extend(put.chain(kept).map(|(id, entry)| (id, Arc::new(entry))));
        Self { number, entries }
    }

    /// Every module that a function needs.
    pub fn modules(&self) -> BTreeSet<ModuleDigest> {
        self.entries.values().filter_map(|entry| entry.module).collect()
    }
}

/// Whether two resources ask for the same, wherever they are written.
fn same_spec(a: &Resource, b: &Resource) -> bool {
    match (a, b) {
        (Resource::Function(a), Resource::Function(b)) => a.spec == b.spec,
        (Resource::Topic(a), Resource::Topic(b)) => a.spec == b.spec,
        (Resource::Trigger(a), Resource::Trigger(b)) => a.spec == b.spec,
        (Resource::Policy(a), Resource::Policy(b)) => a.spec == b.spec,
        (Resource::Namespace(a), Resource::Namespace(b)) => a.spec == b.spec,
        (Resource::Issuer(a), Resource::Issuer(b)) => a.spec == b.spec,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
