//! A control plane for tests: the log in memory with a disk that can fail, the real runtime, a folder of its own.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use weft_eventlog::{
    Consumer, Counters, Durable, EventLog, Journal, JournalContents, LogError, MemoryLog, Sequence, Start, SystemClock,
    Topic, TopicConfig,
};
use weft_functions::manifest::{Kind, ResourceId, SourceFile};
use weft_runtime::{Config, Runtime, Unobserved};

use super::deployments::{ApplyRequest, Deployments, Judge, ModulesFrom, Parts};
use super::desired::Scope;
use super::modules::ModuleStore;
use super::readiness::Readiness;
use crate::path::snapshot::Snapshot;
use crate::path::{Mesh, fixture, policy};
use crate::targets::upstream::Upstream;

/// A memory log whose journal can be made to store an entry and say that it failed, the worst a disk can do.
#[derive(Default)]
pub(super) struct FlakyLog {
    inner: MemoryLog,
    fail: Arc<AtomicBool>,
    /// The retention in bytes with which topics were opened, in order.
    pub(super) opened: Mutex<Vec<(String, u64)>>,
}

impl FlakyLog {
    pub(super) fn fail(&self, fail: bool) {
        self.fail.store(fail, Ordering::SeqCst);
    }
}

#[async_trait]
impl EventLog for FlakyLog {
    async fn topic(&self, name: &str, config: TopicConfig) -> Result<Arc<dyn Topic>, LogError> {
        self.opened.lock().expect("not poisoned").push((name.to_owned(), config.retention_bytes));
        self.inner.topic(name, config).await
    }

    async fn delete_topic(&self, name: &str) -> Result<bool, LogError> {
        self.inner.delete_topic(name).await
    }

    async fn consumer(&self, name: &str, topic: &str, start: Start) -> Result<Arc<dyn Consumer>, LogError> {
        self.inner.consumer(name, topic, start).await
    }

    async fn delete_consumer(&self, name: &str) -> Result<Counters, LogError> {
        self.inner.delete_consumer(name).await
    }

    async fn consumers(&self) -> Result<Vec<String>, LogError> {
        self.inner.consumers().await
    }

    async fn journal(&self, name: &str) -> Result<Arc<dyn Journal>, LogError> {
        Ok(Arc::new(FlakyJournal { inner: self.inner.journal(name).await?, fail: self.fail.clone() }))
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}

struct FlakyJournal {
    inner: Arc<dyn Journal>,
    fail: Arc<AtomicBool>,
}

#[async_trait]
impl Journal for FlakyJournal {
    async fn append(&self, entry: Bytes) -> Result<Durable<Sequence>, LogError> {
        let stored = self.inner.append(entry).await?;
        if !self.fail.load(Ordering::SeqCst) {
            return Ok(stored);
        }
        let source = Arc::new(io::Error::other("the disk is on fire"));
        Err(LogError::Io { action: "sync", path: PathBuf::from("journal"), source })
    }

    async fn read_all(&self) -> Result<JournalContents, LogError> {
        self.inner.read_all().await
    }

    async fn compact(&self, before: Sequence, checkpoint: Bytes) -> Result<(), LogError> {
        self.inner.compact(before, checkpoint).await
    }
}

pub(super) struct Plane {
    pub(super) dir: tempfile::TempDir,
    pub(super) log: Arc<FlakyLog>,
    pub(super) modules: Arc<ModuleStore>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) deployments: Deployments,
    /// Has the last snapshot that was put in force.
    pub(super) mesh: Arc<Mesh>,
    /// Every snapshot that was put in force.
    pub(super) snapshots: Arc<Mutex<Vec<Arc<Snapshot>>>>,
}

impl Plane {
    pub(super) async fn new() -> Self {
        Self::on(Arc::new(FlakyLog::default()), tempfile::tempdir().expect("a directory")).await
    }

    /// The same node after a restart; nothing is restored yet.
    pub(super) async fn restarted(self) -> Self {
        let Self { dir, log, deployments, .. } = self;
        drop(deployments);
        Self::on(log, dir).await
    }

    async fn on(log: Arc<FlakyLog>, dir: tempfile::TempDir) -> Self {
        let data = dir.path().join(".weft");
        let modules = Arc::new(ModuleStore::open(data.join("modules"), Arc::new(SystemClock)).expect("a store"));
        let config = Config { instances_max: 4, memory_max: 64 << 20, ..Config::new(data.join("artifacts")) };
        let (readiness, snapshots) = (Arc::new(Readiness::default()), Arc::new(Mutex::new(Vec::new())));
        let seen = snapshots.clone();
        let upstream = Upstream::new().expect("certificate authorities");
        let mesh = fixture::mesh_of(Deployments::empty_snapshot(policy::Default::Allow, &[]), upstream);
        let swapped = mesh.clone();
        let parts = Parts {
            log: log.clone(),
            runtime: Runtime::new(config, Arc::new(Unobserved)).expect("a runtime"),
            modules: modules.clone(),
            clock: Arc::new(SystemClock),
            readiness: readiness.clone(),
            trust_domain: "weft.local".parse().expect("a trust domain"),
            default: policy::Default::Allow,
            built_in: Vec::new(),
            on_snapshot: Arc::new(move |snapshot| {
                swapped.swap(snapshot.clone());
                seen.lock().expect("not poisoned").push(snapshot);
                async {}.boxed()
            }),
        };
        let deployments = Deployments::open(parts).await.expect("opens");
        Self { dir, log, modules, readiness, deployments, mesh, snapshots }
    }

    /// The numbers of all snapshots that were put in force.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.snapshots.lock().expect("not poisoned").iter().map(|snapshot| snapshot.number).collect()
    }

    /// Names of topics and triggers in force.
    pub(super) fn in_force(&self) -> Vec<String> {
        let view = self.deployments.view();
        let mut names: Vec<String> = view.snapshot.topics.keys().map(|name| format!("topic {name}")).collect();
        names.extend(view.snapshot.triggers.keys().map(|name| format!("trigger {name}")));
        names.extend(view.snapshot.functions.keys().map(|name| format!("function {name}")));
        names.sort();
        names
    }
}

/// A request as the admin API (`Merge`) or the watched folder (`Replace`) makes it.
pub(super) fn request(text: &str, scope: Scope) -> ApplyRequest {
    let files = vec![SourceFile::new("app.yaml", text)];
    let (modules, judge) = (ModulesFrom::Uploaded(Vec::new()), Judge::node());
    ApplyRequest { files, modules, scope, dry_run: false, judge }
}

pub(super) fn topic(name: &str) -> String {
    format!("---\napiVersion: weft.dev/v1alpha1\nkind: Topic\nmetadata: {{ name: {name} }}\n")
}

pub(super) fn trigger(name: &str, topic: &str) -> String {
    format!(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Trigger\nmetadata: {{ name: {name} }}\n\
         spec: {{ topic: {topic}, url: \"http://127.0.0.1:9/\" }}\n"
    )
}

pub(super) fn function(name: &str, module: &str) -> String {
    format!(
        "---\napiVersion: weft.dev/v1alpha1\nkind: Function\nmetadata: {{ name: {name} }}\n\
         spec:\n  module: {module}\n"
    )
}

pub(super) fn id(kind: Kind, name: &str) -> ResourceId {
    ResourceId { kind, namespace: "default".parse().expect("a name"), name: name.parse().expect("a name") }
}
