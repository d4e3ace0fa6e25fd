//! From a module to a revision that can be called: check, compile or find the artifact, load, instantiate once. What
//! fails here leaves nothing behind but, at most, an artifact.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64},
    },
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::{task::spawn_blocking, time::Instant};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    DeployError, Module, Revision, RevisionSpec,
    activator::Activator,
    artifact::{Hash256, hex},
    component, engine,
    host::{Host, stdio::GuestLog},
    instance::{End, Setup, trial},
    limits,
    load::load,
    node::{ModuleInUse, Node},
    queue::Queue,
    revision::{Artifact, Deployed},
};

/// See [`Runtime::deploy`](crate::Runtime::deploy).
pub(crate) async fn deploy(node: &Arc<Node>, spec: RevisionSpec) -> Result<Revision, DeployError> {
    if node.is_draining() {
        return Err(DeployError::Draining);
    }
    let (bytes, limit) = (spec.limits.memory, node.config.memory_max);
    if bytes > limit {
        return Err(DeployError::MemoryLimit { bytes, limit });
    }
    let (module, code) = match spec.module {
        Module::Bytes(bytes) => from_bytes(node, bytes).await?,
        Module::Digest(digest) => from_digest(node, digest).await?,
    };
    let setup = Arc::new(Setup {
        engine: node.engine.clone(),
        limits: spec.limits,
        env: spec.env.into(),
        log: Arc::new(GuestLog {
            function: spec.function.clone(),
            revision: spec.revision.clone(),
            observer: node.observer.clone(),
            budget: node.budget(&spec.function),
        }),
        live: Arc::new(AtomicU32::new(0)),
        traps: AtomicU64::new(0),
        cut: node.cut.subscribe(),
    });
    try_out(node, &setup, &code).await?;

    let source = Artifact {
        node: node.clone(),
        function: spec.function.clone(),
        revision: spec.revision.clone(),
        digest: module.digest(),
        isolation: spec.isolation,
    };
    let activator = Activator::new(source, spec.scale.min, spec.scale.idle);
    if spec.scale.min > 0 {
        activator.put(node.loaded(code, spec.isolation), "scale.min keeps it loaded");
    }
    Ok(Revision::new(Deployed {
        function: spec.function,
        name: spec.revision,
        node: node.clone(),
        setup,
        queue: Queue::new(spec.scale.max, spec.scale.queue),
        activator,
        module,
        calls: AtomicU64::new(0),
    }))
}

async fn from_bytes(node: &Arc<Node>, bytes: Bytes) -> Result<(ModuleInUse, ProxyPre<Host>), DeployError> {
    let (size, limit) = (u64::try_from(bytes.len()).unwrap_or(u64::MAX), node.config.component_bytes_max);
    if size > limit {
        return Err(DeployError::TooLarge { bytes: size, limit });
    }
    let hashed = bytes.clone();
    let digest: Hash256 = off_thread(move || Ok(Sha256::digest(&hashed).into())).await?;
    let module = node.use_module(digest);
    if let Some(code) = find(node, digest).await? {
        return Ok((module, code));
    }
    let _turn = node.compiling.acquire().await.map_err(|_| DeployError::Draining)?;
    // Another deploy of the same module may have been ahead.
    if let Some(code) = find(node, digest).await? {
        return Ok((module, code));
    }
    let compiler = node.clone();
    let compiled = engine::compile(move || {
        let path = compile(&compiler, &digest, &bytes)?;
        load(&compiler.engine, &path)
    });
    let code = compiled.await.unwrap_or_else(|| Err(DeployError::Compile("the compiler failed".to_owned())))?;
    Ok((module, code))
}

async fn from_digest(node: &Arc<Node>, digest: Hash256) -> Result<(ModuleInUse, ProxyPre<Host>), DeployError> {
    let module = node.use_module(digest);
    let code = find(node, digest).await?.ok_or_else(|| DeployError::UnknownDigest { digest: hex(&digest) })?;
    Ok((module, code))
}

/// Loads the artifact if it is here.
async fn find(node: &Arc<Node>, digest: Hash256) -> Result<Option<ProxyPre<Host>>, DeployError> {
    let node = node.clone();
    off_thread(move || {
        let found = node.artifacts.find(&digest).map_err(|error| DeployError::Artifact(error.to_string()))?;
        found.map(|path| load(&node.engine, &path)).transpose()
    })
    .await
}

async fn off_thread<T: Send + 'static>(
    job: impl FnOnce() -> Result<T, DeployError> + Send + 'static,
) -> Result<T, DeployError> {
    spawn_blocking(job).await.unwrap_or_else(|error| Err(DeployError::Artifact(error.to_string())))
}

fn compile(node: &Node, digest: &Hash256, bytes: &[u8]) -> Result<PathBuf, DeployError> {
    let component = component::prepare(bytes)?;
    let code = node.engine.wasm().precompile_component(&component);
    let code = code.map_err(|error| DeployError::Compile(format!("{error:#}")))?;
    node.artifacts.keep(digest, &code).map_err(|error| DeployError::Artifact(error.to_string()))
}

/// Instantiates once, so that a module that cannot start never gets traffic.
async fn try_out(node: &Arc<Node>, setup: &Arc<Setup>, code: &ProxyPre<Host>) -> Result<(), DeployError> {
    let _room = node.room(Instant::now() + limits::TRIAL_TIME).await.map_err(|_| DeployError::Busy)?;
    let failed = match trial(setup, code).await {
        Ok(()) => return Ok(()),
        Err(end) => end,
    };
    let text = match failed {
        End::Full => return Err(DeployError::Busy),
        End::Trapped(text) => text,
        End::Exited(status) => format!("it exited with {status}"),
        End::Cpu => "it used up limits.cpu".to_owned(),
        End::Memory => "it needs more memory than limits.memory".to_owned(),
        End::Late => format!("it took longer than {} s", limits::TRIAL_TIME.as_secs()),
        End::Returned | End::Unwanted | End::Cut => "the node is ending".to_owned(),
    };
    Err(DeployError::InitTrapped(text))
}
