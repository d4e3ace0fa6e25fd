//! The composition root: builds the node's parts in one visible order, and stops them in another. Nothing is decided
//! here; what a part needs is handed to it here and nowhere else.

mod envelope_keys;
mod key;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use weft_eventlog::{Clock, EventLog, LocalLog, SystemClock};
use weft_runtime::Runtime;

use crate::control::admin::{self, AdminState, Guard, Mode, NodeInfo};
use crate::control::deployments::{Applied, Deployments, OnSnapshot, Parts};
use crate::control::modules::ModuleStore;
use crate::control::readiness::{Phase, Readiness};
use crate::control::scale_log::ScaleLog;
use crate::control::watch::{self, LoadError, Watch};
use crate::delivery::{self, Deliveries};
use crate::edge::identity::Everybody;
use crate::edge::ingress::Ingress;
use crate::edge::jwt::Verifier;
use crate::edge::listener::{EdgeLimits, Listener};
use crate::path::Mesh;
use crate::path::caller::Principal;
use crate::path::decision::DecisionIds;
use crate::path::envelope::Envelopes;
use crate::path::policy;
use crate::path::record::Records;
use crate::path::routes::Names;
use crate::path::spiffe::{SpiffeId, TrustDomain};
use crate::targets::upstream::{Documents, Upstream};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::observer::Witness;

/// How long calls and deliveries in flight may go on after the node was told to stop. Knative's drain is 30 s too.
const DRAIN: Duration = Duration::from_secs(30);

const NO_AUTHORITIES: &str = "cannot read the system's certificate authorities; install ca-certificates";

/// What a node is started with: every value checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to take requests and events.
    pub http: SocketAddr,
    /// Where the admin API listens.
    pub admin: SocketAddr,
    /// Where the node keeps events, modules, artifacts and what is deployed.
    pub data: PathBuf,
    /// The folder of manifests to serve and watch.
    pub folder: PathBuf,
    /// Who every caller is.
    pub identity: SpiffeId,
    /// What follows `NAME.NS.` in addresses.
    pub domain: String,
    /// The trust domain of the identities asserted here.
    pub trust_domain: TrustDomain,
}

/// A node that runs.
pub struct Node {
    /// Where it takes requests and events.
    pub http: SocketAddr,
    /// Where its admin API listens.
    pub admin: SocketAddr,
    /// The one writer of what is deployed.
    pub deployments: Deployments,
    /// How its names become addresses.
    pub names: Names,
    watch: Watch,
    folder: PathBuf,
    log: Arc<dyn EventLog>,
    runtime: Runtime,
    deliveries: Arc<Deliveries>,
    readiness: Arc<Readiness>,
    listener: Listener,
    ingress: Arc<Ingress<Everybody>>,
    stop_admin: CancellationToken,
    admin_task: JoinHandle<()>,
    /// Ends with the node.
    _key_task: AbortOnDropHandle<()>,
}

impl Node {
    /// Builds the node and puts back in force what was deployed before. It answers on the admin API from here on, and
    /// takes requests once [`Node::load`] and [`Node::run`] follow.
    ///
    /// # Errors
    /// An address is taken, or the data directory cannot be used.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let (listener, admin_listener) = listen(&settings).await?;
        let admin = admin_listener.local_addr().context("cannot read the admin listener's address")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let readiness = Arc::new(Readiness::default());
        let watch = Watch::begin(&settings.folder)?;
        let data = prepare(&settings.data)?;
        let log: Arc<dyn EventLog> = Arc::new(LocalLog::open(&data.join("log"), clock.clone()).await?);
        readiness.done(Phase::Log);

        let metrics = Arc::new(Metrics::new()?);
        let scale = Arc::new(ScaleLog::new(clock.clone()));
        let witness = Witness { metrics: metrics.clone(), scale: scale.clone() };
        let runtime = Runtime::new(weft_runtime::Config::new(data.join("artifacts")), Arc::new(witness))?;
        let (envelopes, key_task) = envelope_keys::begin(&data, &settings.trust_domain, &clock)?;
        let verifier = Verifier::new(Arc::new(Documents::new().context(NO_AUTHORITIES)?), clock.clone());
        let mesh = mesh(&settings, &data, &metrics, &clock, envelopes.clone(), verifier.clone())?;
        let names = mesh.names.clone();
        let deliveries = Arc::new(Deliveries::new(delivery::Parts {
            mesh: mesh.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            seed: key::random()?,
            reach_loopback: true,
        }));
        let modules = Arc::new(ModuleStore::open(data.join("modules"), clock.clone())?);
        let deployments = Deployments::open(Parts {
            log: log.clone(),
            runtime: runtime.clone(),
            modules: modules.clone(),
            clock: clock.clone(),
            readiness: readiness.clone(),
            trust_domain: names.trust_domain.clone(),
            default: policy::Default::Allow,
            on_snapshot: in_force(&mesh, &deliveries, verifier),
        })
        .await?;
        let stop_admin = CancellationToken::new();
        let state = AdminState {
            deployments: deployments.clone(),
            modules,
            readiness: readiness.clone(),
            scale_log: scale,
            node: info(&settings, listener.local_addr(), admin),
            names: names.clone(),
            envelopes,
            metrics: Arc::new(move |snapshot| metrics.render(snapshot)),
            guard: Guard::Loopback,
            shutdown: stop_admin.clone(),
        };
        let admin_task = tokio::spawn(admin::serve(admin_listener, admin::router(state), stop_admin.clone()));
        let ingress = Arc::new(Ingress::new(mesh, Everybody(Principal::Workload(settings.identity))));
        deployments.restore().await;
        Ok(Self {
            http: listener.local_addr(),
            admin,
            deployments,
            names,
            watch,
            folder: settings.folder,
            log,
            runtime,
            deliveries,
            readiness,
            listener,
            ingress,
            stop_admin,
            admin_task,
            _key_task: key_task,
        })
    }

    /// Applies the folder for the first time.
    ///
    /// # Errors
    /// Every mistake in it; nothing is served then.
    pub async fn load(&self) -> Result<(), LoadError> {
        watch::load(&self.folder, &self.deployments).await?;
        self.readiness.done(Phase::Manifests);
        self.readiness.done(Phase::Triggers);
        Ok(())
    }

    /// Serves until `shutdown`, reloading the folder as it changes; then finishes what is in flight and closes the log.
    ///
    /// # Errors
    /// The log could not be closed cleanly. What was acknowledged is safe all the same.
    pub async fn run(
        self,
        report: impl Fn(Result<Applied, LoadError>) + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let watching = tokio::spawn(self.watch.run(self.deployments.clone(), report, shutdown.clone()));
        let limits = EdgeLimits { drain: DRAIN, ..EdgeLimits::default() };
        let serving = tokio::spawn(self.listener.serve(limits, self.ingress, shutdown.clone()));
        self.readiness.done(Phase::Listeners);
        shutdown.cancelled().await;

        tracing::info!("stopping: finishing what is in flight");
        let (served, ()) = tokio::join!(serving, self.deliveries.drain(DRAIN));
        served.context("the listener did not end cleanly")?;
        let cut = self.runtime.drain(Instant::now() + Duration::from_secs(1)).await;
        if cut > 0 {
            tracing::warn!(calls = cut, "calls were cut off");
        }
        watching.abort();
        self.stop_admin.cancel();
        self.admin_task.await.context("the admin API did not end cleanly")?;
        self.log.close().await.context("cannot close the event log")
    }

    /// Gives everything up after a start that did not come to serving.
    ///
    /// # Errors
    /// The log could not be closed cleanly.
    pub async fn abandon(self) -> anyhow::Result<()> {
        self.stop_admin.cancel();
        self.deliveries.drain(Duration::ZERO).await;
        self.log.close().await.context("cannot close the event log")
    }
}

/// Both listeners, before anything is opened: a node that cannot listen has touched nothing.
async fn listen(settings: &Settings) -> anyhow::Result<(Listener, TcpListener)> {
    let taken = |address, flag| format!("cannot listen on {address}; choose another with {flag}");
    let http = Listener::bind(settings.http).await.with_context(|| taken(settings.http, "--http"))?;
    let admin = TcpListener::bind(settings.admin).await.with_context(|| taken(settings.admin, "--admin"))?;
    Ok((http, admin))
}

/// What the node says of itself on its admin API.
fn info(settings: &Settings, http: SocketAddr, admin: SocketAddr) -> NodeInfo {
    NodeInfo {
        mode: Mode::Dev,
        http,
        admin: admin.to_string(),
        identity: settings.identity.to_string(),
        folder: Some(settings.folder.clone()),
    }
}

/// A mesh in which nothing is deployed yet.
fn mesh(
    settings: &Settings,
    data: &Path,
    metrics: &Arc<Metrics>,
    clock: &Arc<dyn Clock>,
    envelopes: Arc<Envelopes>,
    tokens: Verifier,
) -> anyhow::Result<Arc<Mesh>> {
    let ids = DecisionIds::new(key::read_or_make(&data.join("decision.key"))?, key::random()?);
    let names = Names {
        domain: settings.domain.as_str().into(),
        trust_domain: settings.trust_domain.clone(),
        loopback_topics: true,
    };
    let upstream = Upstream::new().context(NO_AUTHORITIES)?;
    let empty = Deployments::empty_snapshot(policy::Default::Allow);
    let records = Records::new(ids, metrics.clone(), clock.clone());
    Ok(Mesh::new(empty, records, envelopes, upstream, names, Arc::new(tokens)))
}

/// First what policies rely on, then the snapshot, then the workers: a worker that starts must find its function. Whoever
/// applied waits until no call goes on that the snapshot does not permit.
fn in_force(mesh: &Arc<Mesh>, deliveries: &Arc<Deliveries>, verifier: Verifier) -> OnSnapshot {
    let (mesh, deliveries) = (mesh.clone(), deliveries.clone());
    Arc::new(move |snapshot| {
        let (mesh, deliveries, verifier) = (mesh.clone(), deliveries.clone(), verifier.clone());
        Box::pin(async move {
            verifier.reconcile(snapshot.issuers.iter().map(Arc::as_ref));
            mesh.swap(snapshot.clone());
            deliveries.reconcile(&snapshot);
            mesh.judge_open_calls().await;
        })
    })
}

/// The data directory, made for its owner alone if it is not there.
fn prepare(data: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot use the data directory {}; choose another with --data", data.display()))?;
    data.canonicalize().with_context(|| format!("cannot use the data directory {}", data.display()))
}
