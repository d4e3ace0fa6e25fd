//! The composition root: builds the node's parts in one visible order, and stops them in another. Nothing is decided
//! here; what a part needs is handed to it here and nowhere else.

mod doors;
mod envelope_keys;
mod explaining;
mod key;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use weft_eventlog::{Clock, EventLog, LocalLog, SystemClock};
use weft_functions::policy::Policy;
use weft_runtime::Runtime;

use self::doors::{Callers, Doors};
use self::explaining::Explaining;
use crate::config::file::Listen;
use crate::control::admin::{self, AdminState, Door, Guard, NodeInfo};
use crate::control::built_in;
use crate::control::deployments::{Applied, Deployments, OnSnapshot, Parts};
use crate::control::generations::Generations;
use crate::control::jobs::{self, Jobs};
use crate::control::modules::ModuleStore;
use crate::control::readiness::{Phase, Readiness};
use crate::control::scale_log::ScaleLog;
use crate::control::watch::{self, LoadError, Watch};
use crate::delivery::{self, Deliveries};
use crate::edge::ingress::Ingress;
use crate::edge::jwt::Verifier;
use crate::edge::listener::{EdgeLimits, Listener};
use crate::edge::tls::source::{Source, Supply};
use crate::path::Mesh;
use crate::path::envelope::Envelopes;
use crate::path::policy;
use crate::path::record::Records;
use crate::path::routes::Names;
use crate::path::spiffe::{SpiffeId, TrustDomain};
use crate::targets::backend::Backend;
use crate::targets::upstream::{Documents, Upstream};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::observer::Witness;

const NO_AUTHORITIES: &str = "cannot read the system's certificate authorities; install ca-certificates";

/// What a node is started with: every value checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the node keeps events, modules, artifacts and what is deployed.
    pub data: PathBuf,
    /// What follows `NAME.NS.` in addresses.
    pub domain: String,
    /// The trust domain of the identities asserted here.
    pub trust_domain: TrustDomain,
    /// Ceilings of the listeners for calls.
    pub limits: EdgeLimits,
    /// What answers permitted calls to functions.
    pub backend: Backend,
    /// What is particular to how it runs.
    pub way: Way,
}

/// How a node runs.
#[derive(Debug, Clone)]
pub enum Way {
    /// `weft dev`: a folder of manifests, loopback, and everybody is the same.
    Dev {
        /// Where to take requests and events.
        http: SocketAddr,
        /// Where the admin API listens.
        admin: SocketAddr,
        /// The folder of manifests to serve and watch.
        folder: PathBuf,
        /// Who every caller is.
        identity: SpiffeId,
    },
    /// `weft serve`: what is deployed through the admin API, and everybody is who they prove to be.
    Serve {
        /// Where to listen.
        listen: Listen,
        /// Where its certificates come from.
        identity: Source,
        /// What holds where no policy says anything.
        default: policy::Default,
    },
}

/// A node that runs.
pub struct Node {
    /// What it says of itself: where it takes calls and administration.
    pub info: NodeInfo,
    /// The one writer of what is deployed.
    pub deployments: Deployments,
    /// How its names become addresses.
    pub names: Names,
    watch: Option<Watch>,
    log: Arc<dyn EventLog>,
    runtime: Runtime,
    deliveries: Arc<Deliveries>,
    readiness: Arc<Readiness>,
    calls: Vec<Listener>,
    limits: EdgeLimits,
    ingress: Arc<Ingress<Callers>>,
    supply: Option<Supply>,
    stop_admin: CancellationToken,
    admin_tasks: JoinSet<()>,
    explaining: Explaining,
    jobs: Arc<Jobs>,
    /// Ends with the node.
    _key_task: AbortOnDropHandle<()>,
}

impl Node {
    /// Builds the node and puts back in force what was deployed before. It answers on the admin API from here on, and
    /// takes requests once [`Node::load`] and [`Node::run`] follow.
    ///
    /// # Errors
    /// An address is taken, there is no certificate, or the data directory cannot be used.
    pub async fn start(settings: Settings) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let doors = Doors::open(&settings, &clock).await?;
        let readiness = Arc::new(Readiness::default());
        let watch = settings.way.folder().map(Watch::begin).transpose()?;
        let data = prepare(&settings.data)?;
        let log: Arc<dyn EventLog> = Arc::new(LocalLog::open(&data.join("log"), clock.clone()).await?);
        readiness.done(Phase::Log);

        let (metrics, scale) = (Arc::new(Metrics::new()?), Arc::new(ScaleLog::new(clock.clone())));
        let witness = Witness { metrics: metrics.clone(), scale: scale.clone() };
        let runtime = Runtime::new(weft_runtime::Config::new(data.join("artifacts")), Arc::new(witness))?;
        let (envelopes, key_task) = envelope_keys::begin(&data, &settings.trust_domain, &clock)?;
        let verifier = Verifier::new(Arc::new(Documents::new().context(NO_AUTHORITIES)?), clock.clone());
        let (records, refused) = explaining::records(&data, &metrics, &clock)?;
        let mesh = mesh(&settings, records, envelopes.clone(), doors.supply.as_ref(), verifier.clone())?;
        let explaining = Explaining::start(&mesh, log.as_ref(), refused).await?;
        let (names, deliveries) = (mesh.names.clone(), deliveries(&mesh, &clock, &metrics, settings.way.is_dev())?);
        let modules = Arc::new(ModuleStore::open(data.join("modules"), clock.clone())?);
        let deployments = Deployments::open(Parts {
            log: log.clone(),
            runtime: runtime.clone(),
            modules: modules.clone(),
            clock: clock.clone(),
            readiness: readiness.clone(),
            trust_domain: names.trust_domain.clone(),
            default: settings.way.default(),
            built_in: built_in(&settings)?,
            on_snapshot: in_force(&mesh, &deliveries, verifier, log.as_ref()).await?,
        })
        .await?;
        let (jobs, stop_admin) =
            (Jobs::open(job_parts(&log, &mesh, &clock, &deliveries)).await?, CancellationToken::new());
        let state = AdminState {
            deployments: deployments.clone(),
            jobs: jobs.clone(),
            mesh: mesh.clone(),
            explain: explaining.explainer.clone(),
            modules,
            readiness: readiness.clone(),
            scale_log: scale,
            node: doors.info.clone(),
            names: names.clone(),
            envelopes,
            metrics: Arc::new(move |snapshot| metrics.render(snapshot)),
            guard: Guard::Loopback,
            bundle: bundle(doors.supply.as_ref()),
            shutdown: stop_admin.clone(),
        };
        let admin_tasks = administer(doors.admin, state, &stop_admin);
        deployments.restore().await;
        Ok(Self {
            info: doors.info,
            deployments,
            names,
            watch,
            log,
            runtime,
            deliveries,
            readiness,
            calls: doors.calls,
            limits: settings.limits,
            ingress: Arc::new(Ingress::new(mesh, doors.callers)),
            supply: doors.supply,
            stop_admin,
            admin_tasks,
            explaining,
            jobs,
            _key_task: key_task,
        })
    }

    /// Applies the folder for the first time, if there is one.
    ///
    /// # Errors
    /// Every mistake in it; nothing is served then.
    pub async fn load(&self) -> Result<(), LoadError> {
        if let Some(folder) = &self.info.folder {
            watch::load(folder, &self.deployments).await?;
        }
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
        let mut background = JoinSet::new();
        if let Some(watch) = self.watch {
            background.spawn(watch.run(self.deployments.clone(), report, shutdown.clone()));
        }
        if let Some(supply) = self.supply {
            // Certificates are renewed until the last call is answered.
            background.spawn(supply.run(CancellationToken::new()));
        }
        let mut serving = JoinSet::new();
        for listener in self.calls {
            serving.spawn(listener.serve(self.limits, self.ingress.clone(), shutdown.clone()));
        }
        self.readiness.done(Phase::Listeners);
        self.jobs.resume();
        shutdown.cancelled().await;

        tracing::info!("stopping: finishing what is in flight");
        self.jobs.stop().await;
        let (served, ()) = tokio::join!(ended(serving), self.deliveries.drain(self.limits.drain));
        served.context("a listener did not end cleanly")?;
        let cut = self.runtime.drain(Instant::now() + Duration::from_secs(1)).await;
        if cut > 0 {
            tracing::warn!(calls = cut, "calls were cut off");
        }
        background.shutdown().await;
        self.stop_admin.cancel();
        ended(self.admin_tasks).await.context("the admin API did not end cleanly")?;
        self.explaining.stop().await;
        self.log.close().await.context("cannot close the event log")
    }

    /// Gives everything up after a start that did not come to serving.
    ///
    /// # Errors
    /// The log could not be closed cleanly.
    pub async fn abandon(self) -> anyhow::Result<()> {
        self.stop_admin.cancel();
        self.jobs.stop().await;
        self.deliveries.drain(Duration::ZERO).await;
        self.explaining.stop().await;
        self.log.close().await.context("cannot close the event log")
    }
}

impl Way {
    fn is_dev(&self) -> bool {
        matches!(self, Self::Dev { .. })
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Dev { folder, .. } => Some(folder),
            Self::Serve { .. } => None,
        }
    }

    /// What holds where no policy says anything: `dev` allows.
    fn default(&self) -> policy::Default {
        match self {
            Self::Dev { .. } => policy::Default::Allow,
            Self::Serve { default, .. } => *default,
        }
    }
}

/// Waits for all of them.
async fn ended(mut tasks: JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// Answers on every door of the admin API.
fn administer(doors: Vec<Door>, state: AdminState, stop: &CancellationToken) -> JoinSet<()> {
    let router = admin::router(state);
    let mut tasks = JoinSet::new();
    for door in doors {
        tasks.spawn(admin::serve(door, router.clone(), stop.clone()));
    }
    tasks
}

/// The roots that clients of this node trust, in PEM.
fn bundle(supply: Option<&Supply>) -> Arc<dyn Fn() -> Option<String> + Send + Sync> {
    let keyring = supply.map(Supply::keyring);
    Arc::new(move || keyring.as_ref().map(|keyring| keyring.trust().bundle()))
}

/// A mesh in which nothing is deployed yet.
fn mesh(
    settings: &Settings,
    records: Records,
    envelopes: Arc<Envelopes>,
    supply: Option<&Supply>,
    tokens: Verifier,
) -> anyhow::Result<Arc<Mesh>> {
    let names = Names {
        domain: settings.domain.as_str().into(),
        trust_domain: settings.trust_domain.clone(),
        loopback_topics: settings.way.is_dev(),
    };
    let upstream = Upstream::new().context(NO_AUTHORITIES)?;
    let upstream = match supply {
        Some(supply) => upstream.within_mesh(&names.domain, names.trust_domain.clone(), supply.outbound()),
        None => upstream,
    };
    let empty = Deployments::empty_snapshot(settings.way.default(), &built_in(settings)?);
    let backend = settings.backend.clone();
    Ok(Mesh::new(empty, records, envelopes, backend, upstream, names, Arc::new(tokens)))
}

/// The policies that the node brings with it: in `serve`, the admin socket's.
fn built_in(settings: &Settings) -> anyhow::Result<Vec<Arc<Policy>>> {
    if settings.way.is_dev() {
        return Ok(Vec::new());
    }
    let policy = built_in::policy(&settings.trust_domain);
    let policy = policy.map_err(|_| anyhow::anyhow!("the built-in policy has mistakes: please report this"))?;
    Ok(policy.into_iter().collect())
}

/// What jobs are made with. A lane that a job opens is served at once.
fn job_parts(
    log: &Arc<dyn EventLog>,
    mesh: &Arc<Mesh>,
    clock: &Arc<dyn Clock>,
    deliveries: &Arc<Deliveries>,
) -> jobs::Parts {
    let deliveries = deliveries.clone();
    let on_lane = Arc::new(move || deliveries.serve_lanes());
    jobs::Parts { log: log.clone(), mesh: mesh.clone(), clock: clock.clone(), on_lane }
}

/// The workers that deliver; there are none before the first snapshot.
fn deliveries(
    mesh: &Arc<Mesh>,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
    reach_loopback: bool,
) -> anyhow::Result<Arc<Deliveries>> {
    let (mesh, clock, metrics) = (mesh.clone(), clock.clone(), metrics.clone());
    let (calls, seed) = (Arc::new(delivery::Pipeline(mesh.clone())), key::random()?);
    Ok(Arc::new(Deliveries::new(delivery::Parts { mesh, calls, clock, metrics, seed, reach_loopback })))
}

/// First the snapshot: a worker that starts must find its function, and a token that an Issuer vouched for until now is
/// held against the snapshot once more. Whoever applied waits until no call goes on that the snapshot does not permit.
async fn in_force(
    mesh: &Arc<Mesh>,
    deliveries: &Arc<Deliveries>,
    verifier: Verifier,
    log: &dyn EventLog,
) -> anyhow::Result<OnSnapshot> {
    let generations = Arc::new(Generations::open(log, &mesh.history).await?);
    let (mesh, deliveries) = (mesh.clone(), deliveries.clone());
    let on_snapshot: OnSnapshot = Arc::new(move |snapshot| {
        let (mesh, deliveries, verifier) = (mesh.clone(), deliveries.clone(), verifier.clone());
        let generations = generations.clone();
        Box::pin(async move {
            mesh.swap(snapshot.clone());
            verifier.reconcile(snapshot.issuers.iter().map(Arc::as_ref));
            generations.note(&snapshot, &mesh.history).await;
            deliveries.reconcile(&snapshot);
            mesh.judge_open_calls().await;
        })
    });
    Ok(on_snapshot)
}

/// The data directory, made for its owner alone if it is not there.
fn prepare(data: &Path) -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot use the data directory {}; choose another", data.display()))?;
    data.canonicalize().with_context(|| format!("cannot use the data directory {}", data.display()))
}
