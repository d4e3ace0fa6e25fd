//! The one writer of the desired state: takes an apply from the folder or the admin API through its steps, all or
//! nothing, and restores the last state at a start. Separate from `desired`, which only computes.
//!
//! An apply reads and resolves its documents, plans, compiles what changed, opens topics, and appends the plan to the
//! change log. Until then nothing has happened and any failure is undone. After that the plan *is* the state: what still
//! fails is listed by readiness and tried again by the next apply and at the next start.

mod assemble;
mod cleanup;
mod error;
mod judge;
mod request;
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use weft_eventlog::{Clock, EventLog};
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::policy::Policy;
use weft_runtime::Runtime;

pub use self::error::ApplyError;
pub use self::judge::Judge;
use self::request::Resolved;
pub use self::request::{ApplyRequest, ModulesFrom, UploadedModule};
use self::stage::Stage;
use super::changelog::{Changelog, ChangelogError};
use super::desired::{self, Change, ChangeKind, Desired, Plan};
use super::modules::ModuleStore;
use super::readiness::Readiness;
use crate::path::policy;
use crate::path::snapshot::Snapshot;
use crate::path::spiffe::TrustDomain;

/// Puts a snapshot in force: swaps the mesh's and tells delivery. When it resolves, new calls see the snapshot and no
/// worker uses what it no longer has.
pub type OnSnapshot = Arc<dyn Fn(Arc<Snapshot>) -> BoxFuture<'static, ()> + Send + Sync>;

/// What deployments are made with.
pub struct Parts {
    /// Keeps topics, consumers and the change log.
    pub log: Arc<dyn EventLog>,
    /// Compiles and runs functions.
    pub runtime: Runtime,
    /// Keeps the modules' bytes.
    pub modules: Arc<ModuleStore>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Told what is desired and not in force.
    pub readiness: Arc<Readiness>,
    /// The trust domain of the identities of functions and triggers, such as `weft.local`.
    pub trust_domain: TrustDomain,
    /// What holds where no policy speaks.
    pub default: policy::Default,
    /// Policies of the whole mesh that the node brings with it.
    pub built_in: Vec<Arc<Policy>>,
    /// Puts snapshots in force.
    pub on_snapshot: OnSnapshot,
}

/// What is desired and what is in force, at one moment.
pub struct View {
    /// The desired state.
    pub desired: Desired,
    /// The snapshot in force.
    pub snapshot: Arc<Snapshot>,
    /// What is desired and could not be put in force, with the reason.
    pub lacking: BTreeMap<ResourceId, String>,
}

/// What an apply did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The snapshot in force after it.
    pub snapshot: u64,
    /// Whether it was only asked for.
    pub dry_run: bool,
    /// What it did to each resource.
    pub changes: Vec<Change>,
}

/// The one writer of the desired state. Clones share everything.
#[derive(Clone)]
pub struct Deployments {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    /// Held by the one apply that runs.
    changelog: Mutex<Changelog>,
    view: ArcSwap<View>,
    /// Topics that the change log deleted and a crash may have left, for [`Deployments::restore`].
    gone: Vec<ResourceId>,
}

impl Deployments {
    /// Opens and replays the change log. Nothing is in force before [`Self::restore`].
    ///
    /// # Errors
    /// The change log cannot be read; nothing was written then.
    pub async fn open(parts: Parts) -> Result<Self, ChangelogError> {
        let (changelog, replayed) = Changelog::open(parts.log.as_ref()).await?;
        let snapshot = Arc::new(assemble::empty(parts.default, &parts.built_in));
        let view = ArcSwap::from_pointee(View { desired: replayed.desired, snapshot, lacking: Lacking::new() });
        let gone = replayed.gone.into_iter().collect();
        Ok(Self { inner: Arc::new(Inner { parts, changelog: Mutex::new(changelog), view, gone }) })
    }

    /// A snapshot in which nothing but the node's own policies is deployed, for a mesh that is about to start.
    pub fn empty_snapshot(default: policy::Default, built_in: &[Arc<Policy>]) -> Snapshot {
        assemble::empty(default, built_in)
    }

    /// What is desired and in force now. Does not wait for an apply that runs.
    pub fn view(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// Puts the desired state in force, once, at a start. What cannot be is left out, logged, and listed by readiness.
    pub async fn restore(&self) {
        let changelog = self.inner.changelog.lock().await;
        self.inner.restore().await;
        drop(changelog);
    }

    /// Applies documents. One apply runs at a time; others wait. Goes on when the future is dropped, since half an apply
    /// is worse than one that nobody waits for.
    ///
    /// # Errors
    /// See [`ApplyError`]; everything is as it was then.
    pub async fn apply(&self, request: ApplyRequest) -> Result<Applied, ApplyError> {
        let inner = self.inner.clone();
        finish(tokio::spawn(async move { inner.apply(request).await })).await
    }

    /// Deletes one resource that the API owns, and a topic's events with it; or the events alone of a topic that vanished
    /// from the folder, which kept them. Goes on when the future is dropped.
    ///
    /// # Errors
    /// `NotFound`, `Owned`, `InUse`, `Unavailable`; everything is as it was then.
    pub async fn delete(&self, id: ResourceId) -> Result<Applied, ApplyError> {
        let inner = self.inner.clone();
        finish(tokio::spawn(async move { inner.delete(&id).await })).await
    }
}

async fn finish(task: tokio::task::JoinHandle<Result<Applied, ApplyError>>) -> Result<Applied, ApplyError> {
    task.await.unwrap_or_else(|error| Err(ApplyError::Unavailable(format!("the apply did not end: {error}"))))
}

impl Inner {
    async fn apply(&self, request: ApplyRequest) -> Result<Applied, ApplyError> {
        let mut changelog = self.changelog.lock().await;
        let view = self.view.load_full();
        let (scope, dry_run, files, judge) =
            (request.scope, request.dry_run, request.files.clone(), request.judge.clone());
        let resolved = request::resolve(request, self.parts.modules.clone()).await?;
        let Resolved { incoming, sources, mut problems } = resolved;
        let named = incoming.iter().map(|incoming| incoming.resource.id()).collect();
        let plan = desired::plan(&view.desired, incoming, scope);
        // Before a mistake or an owner is named: whoever may change nothing learns nothing of what is there.
        judge.ask(plan.as_ref().map_or(named, Plan::touched)).await.map_err(ApplyError::Denied)?;
        let plan = match (plan, problems.is_empty()) {
            (Ok(plan), true) => plan,
            (Err(desired::PlanError::Mistakes(more)), _) => {
                problems.extend(more);
                return Err(ApplyError::mistakes(problems, &files));
            }
            (Ok(_), false) => return Err(ApplyError::mistakes(problems, &files)),
            (Err(error), _) => return Err(error.into()),
        };
        if dry_run {
            return Ok(Applied { snapshot: view.desired.number, dry_run, changes: plan.changes });
        }
        request::keep_modules(&plan, sources, self.parts.modules.clone()).await?;
        self.carry_out(&mut changelog, &view, plan).await
    }

    async fn delete(&self, id: &ResourceId) -> Result<Applied, ApplyError> {
        let mut changelog = self.changelog.lock().await;
        let view = self.view.load_full();
        match desired::plan_delete(&view.desired, id) {
            Err(desired::PlanError::NotFound(id)) if id.kind == Kind::Topic => self.delete_events(&view, id).await,
            plan => self.carry_out(&mut changelog, &view, plan?).await,
        }
    }

    /// Deletes what is left of a topic that is not desired. Nothing to record: the desired state stays the same.
    async fn delete_events(&self, view: &View, id: ResourceId) -> Result<Applied, ApplyError> {
        match self.parts.log.delete_topic(&id.namespaced().to_string()).await {
            Ok(true) => {
                let change = Change { what: ChangeKind::Deleted, id, revision: None };
                Ok(Applied { snapshot: view.desired.number, dry_run: false, changes: vec![change] })
            }
            Ok(false) => Err(ApplyError::NotFound(id)),
            Err(error) => Err(ApplyError::Unavailable(error.to_string())),
        }
    }

    /// From a plan to a snapshot in force.
    async fn carry_out(&self, changelog: &mut Changelog, view: &View, plan: Plan) -> Result<Applied, ApplyError> {
        let now = self.parts.clock.now_ms();
        let wanted = view.desired.after(&plan, view.desired.number);
        if wanted == view.desired && view.lacking.is_empty() {
            return Ok(Applied { snapshot: wanted.number, dry_run: false, changes: plan.changes });
        }
        let stage = Stage::set(&self.parts, &view.snapshot, &wanted, &plan).await?;
        let desired = if plan.is_empty() {
            wanted
        } else {
            match changelog.append(&view.desired, &plan, now).await {
                Ok(desired) => desired,
                Err(error) => {
                    stage.undo(&self.parts, &view.snapshot).await;
                    return Err(ApplyError::Unavailable(error.to_string()));
                }
            }
        };
        let (number, gone) = (desired.number, plan.data_lost(&view.desired));
        self.put_in_force(&view.snapshot, desired, stage, &gone).await;
        changelog.compact_if_due(&self.view.load().desired, now).await;
        Ok(Applied { snapshot: number, dry_run: false, changes: plan.changes })
    }

    /// Everything after the change log has the plan.
    async fn put_in_force(&self, before: &Snapshot, desired: Desired, stage: Stage, gone: &[ResourceId]) {
        let (snapshot, lacking) = assemble::snapshot(&self.parts, before, &desired, stage).await;
        let snapshot = Arc::new(snapshot);
        let modules = desired.modules();
        self.parts.readiness.lacking(lacking.clone());
        self.view.store(Arc::new(View { desired, snapshot: snapshot.clone(), lacking }));
        (self.parts.on_snapshot)(snapshot.clone()).await;
        cleanup::delete_data(&self.parts, gone).await;
        cleanup::after_swap(&self.parts, before, &snapshot, modules).await;
    }

    async fn restore(&self) {
        let view = self.view.load_full();
        let stage = Stage::restore(&self.parts, &view.snapshot, &view.desired).await;
        let mut gone = cleanup::orphans(&self.parts, &view.desired).await;
        gone.extend_from_slice(&self.gone);
        self.put_in_force(&view.snapshot, view.desired.clone(), stage, &gone).await;
    }
}

/// What is desired and cannot be put in force, with the reason.
type Lacking = BTreeMap<ResourceId, String>;

#[cfg(test)]
mod tests;
