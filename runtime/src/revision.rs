//! A deployed revision of a function, as the router holds it: what was deployed, how it is doing, and how it is called.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use tokio::time::{Instant, timeout_at};

use crate::{
    Body, ColdStart, InvokeError, Isolation, Limits, Outbound, Scale,
    activator::{Activator, Retired, Source},
    instance::{self, Begin, Guest, Setup},
    load::load,
    node::{ModuleInUse, Node},
    queue::Queue,
    response::respond,
    warm::{Loaded, Seat},
};

/// Which function a revision belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name, unique in its namespace.
    pub name: Arc<str>,
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The module of a revision.
#[derive(Debug, Clone)]
pub enum Module {
    /// The bytes of a component, or of a core module with an embedded component type.
    Bytes(Bytes),
    /// SHA-256 of bytes that were deployed before: their artifact is used, nothing is compiled. After a restart this
    /// is how revisions come back.
    Digest([u8; 32]),
}

/// Everything that a revision fixes.
#[derive(Debug, Clone)]
pub struct RevisionSpec {
    /// The function.
    pub function: FunctionName,
    /// The revision's name, such as `hello-00001`.
    pub revision: Arc<str>,
    /// The module.
    pub module: Module,
    /// The whole environment of the guest.
    pub env: Vec<(String, String)>,
    /// What one call may use.
    pub limits: Limits,
    /// How many there may be.
    pub scale: Scale,
    /// Whether calls share stores.
    pub isolation: Isolation,
}

/// How a revision is doing now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevisionStats {
    /// Live stores, or 1 while the function is loaded and idle, or 0.
    pub instances: u32,
    /// Whether the compiled code is in memory.
    pub loaded: bool,
    /// Places for concurrent calls that nobody has.
    pub free: u32,
    /// Calls that wait for their turn or for the load.
    pub queued: u32,
    /// Calls that got a place since the deploy.
    pub calls: u64,
    /// Loads caused by a call.
    pub cold_starts: u64,
    /// Calls whose guest trapped or was stopped for using too much.
    pub traps: u64,
}

/// One call of a function.
pub struct Invocation {
    /// The request as the guest sees it. The URI has an authority, or there is a `host` header; hop-by-hop fields and
    /// `host` are not shown to the guest as headers.
    pub request: Request<Body>,
    /// The response's head has to be here by then, waiting and loading included.
    pub deadline: Instant,
    /// The way out for the guest's own calls.
    pub outbound: Arc<dyn Outbound>,
}

/// A handle to a deployed revision. Clones are the same revision. When the last one is dropped and the last call has
/// ended, the code is unloaded; the artifact stays until [`Runtime::forget`](crate::Runtime::forget).
#[derive(Clone)]
pub struct Revision(Arc<Deployed>);

/// A revision with everything its calls need.
pub(crate) struct Deployed {
    pub(crate) function: FunctionName,
    pub(crate) name: Arc<str>,
    pub(crate) node: Arc<Node>,
    pub(crate) setup: Arc<Setup>,
    pub(crate) queue: Queue,
    pub(crate) activator: Arc<Activator<Artifact>>,
    /// Keeps the artifact from being forgotten.
    pub(crate) module: ModuleInUse,
    pub(crate) calls: AtomicU64,
}

impl Revision {
    pub(crate) fn new(deployed: Deployed) -> Self {
        Self(Arc::new(deployed))
    }

    /// The revision's name, such as `hello-00001`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The function it is a revision of.
    pub fn function(&self) -> &FunctionName {
        &self.0.function
    }

    /// SHA-256 of the module as it was given to deploy.
    pub fn digest(&self) -> [u8; 32] {
        self.0.module.digest()
    }

    /// How it is doing now.
    pub fn stats(&self) -> RevisionStats {
        let live = self.0.setup.live.load(Ordering::Relaxed);
        let (loaded, cold_starts) = self.0.activator.loads();
        RevisionStats {
            instances: live.max(u32::from(loaded)),
            loaded,
            free: self.0.queue.free(),
            queued: self.0.queue.waiting(),
            calls: self.0.calls.load(Ordering::Relaxed),
            cold_starts,
            traps: self.0.setup.traps.load(Ordering::Relaxed),
        }
    }

    /// Calls the function: waits for a place, loads the code if it is at zero, runs an instance, and answers as
    /// soon as the head of the response is here. Dropping this future, or the response's body, ends the guest.
    ///
    /// # Errors
    /// See [`InvokeError`]. After the head, what goes wrong ends the body with an error.
    pub async fn invoke(&self, call: Invocation) -> Result<Response<Body>, InvokeError> {
        let Deployed { node, setup, queue, activator, .. } = &*self.0;
        let in_flight = node.enter()?;
        let admission = activator.admit().map_err(|Retired| InvokeError::Retired)?;
        check_authority(&call.request)?;

        let arrived = Instant::now();
        let place = queue.enter(call.deadline).await?;
        let queued = arrived.elapsed();
        let (code, load) = match admission.code_if_loaded() {
            Some(code) => (code, None),
            None => {
                let _waiting = queue.wait_for_load();
                let loaded = timeout_at(call.deadline, admission.code()).await;
                loaded.map_err(|_| InvokeError::QueueTimeout)?.map_err(InvokeError::LoadFailed)?
            }
        };
        let begin = match code.warm.take() {
            Some(instance) => Begin::Again(Box::new(instance)),
            None => Begin::Fresh(Seat::new(&setup.live, node.room(call.deadline).await?)),
        };

        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let started = Instant::now();
        let method = call.request.method().clone();
        let held = (admission, place, in_flight);
        let Guest { head, finish, ending } = instance::start(setup, &code, begin, call.request, call.outbound, held);
        let deadline = call.deadline.min(started + setup.limits.timeout);
        let head = match timeout_at(deadline, head).await {
            Ok(Ok(head)) => head?,
            Ok(Err(_gone)) => return Err(InvokeError::Cancelled),
            Err(_elapsed) => return Err(InvokeError::Timeout),
        };
        if let Some(load) = load {
            let first_byte = started.elapsed().saturating_sub(head.instantiate);
            let phases = ColdStart { queue: queued, load, instantiate: head.instantiate, first_byte };
            node.observer.cold_start(&self.0.function, &self.0.name, phases);
        }
        respond(&method, head.response, &setup.limits, finish, ending)
    }

    /// Takes no new calls from now on ([`InvokeError::Retired`]). Those that wait are still served; the code is
    /// unloaded when the last call ends.
    pub fn retire(&self) {
        self.0.activator.retire();
    }
}

/// A guest must be told an authority, by the URI or by `host`.
fn check_authority(request: &Request<Body>) -> Result<(), InvokeError> {
    if request.uri().authority().is_some() {
        return Ok(());
    }
    match request.headers().get(header::HOST).map(HeaderValue::to_str) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(InvokeError::BadRequest("its host is not ascii".to_owned())),
        None => Err(InvokeError::BadRequest("it has no authority".to_owned())),
    }
}

/// Where a revision's code comes from: its artifact.
pub(crate) struct Artifact {
    pub(crate) node: Arc<Node>,
    pub(crate) function: FunctionName,
    pub(crate) revision: Arc<str>,
    pub(crate) digest: [u8; 32],
    pub(crate) isolation: Isolation,
}

impl Source for Artifact {
    type Code = Loaded;

    fn load(&self) -> Result<Self::Code, String> {
        let found = self.node.artifacts.find(&self.digest).map_err(|error| error.to_string())?;
        let path = found.ok_or("its compiled artifact is gone or was changed; deploy the module again")?;
        let code = load(&self.node.engine, &path).map_err(|error| error.to_string())?;
        Ok(self.node.loaded(code, self.isolation))
    }

    fn scaled(&self, from: u32, to: u32, why: &str) {
        tracing::info!(target: "weft::scale", function = %self.function, revision = %self.revision, from, to, why, "scaled");
        self.node.observer.scaled(&self.function, &self.revision, from, to, why);
    }
}
