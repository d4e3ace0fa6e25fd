//! What all functions of a node share: the engine, the artifacts, the room for instances, and the way to an end.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout_at},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{
    Config, FunctionName, InvokeError, Isolation, Observer, StartError,
    artifact::{Artifacts, Hash256},
    engine::Engine,
    host::{Host, stdio::LogBudget},
    warm::{Loaded, Warm},
};

/// The shared parts.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) engine: Arc<Engine>,
    pub(crate) artifacts: Artifacts,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) compiling: Semaphore,
    /// True ends every guest that still runs.
    pub(crate) cut: watch::Sender<bool>,
    room: Arc<Semaphore>,
    draining: AtomicBool,
    in_flight: Arc<InFlight>,
    modules: Mutex<HashMap<Hash256, u32>>,
    budgets: Mutex<HashMap<FunctionName, Weak<Mutex<LogBudget>>>>,
    /// Stores that wait for another call, of all functions that keep some.
    warm: Mutex<Vec<Weak<Warm>>>,
    /// Calls that wait for room.
    awaited: Arc<AtomicU32>,
}

/// A call that waits for room, for as long as it does.
struct Awaiting(Arc<AtomicU32>);

impl Awaiting {
    fn new(awaited: &Arc<AtomicU32>) -> Self {
        awaited.fetch_add(1, Ordering::SeqCst);
        Self(awaited.clone())
    }
}

impl Drop for Awaiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct InFlight {
    calls: AtomicU32,
    none: Notify,
}

/// Counts a call from its arrival to the end of its guest.
pub(crate) struct Counted(Arc<InFlight>);

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.calls.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none.notify_waiters();
        }
    }
}

impl Node {
    pub(crate) fn start(config: Config, observer: Arc<dyn Observer>) -> Result<Arc<Self>, StartError> {
        let engine = Engine::start(&config)?;
        let artifacts = Artifacts::open(&config.artifacts, engine.wasm())?;
        let permits = |count: u32| usize::try_from(count.max(1)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Ok(Arc::new(Self {
            compiling: Semaphore::new(permits(config.compiles_at_once)),
            room: Arc::new(Semaphore::new(permits(config.instances_max))),
            config,
            engine: Arc::new(engine),
            artifacts,
            observer,
            cut: watch::Sender::new(false),
            draining: AtomicBool::new(false),
            in_flight: Arc::default(),
            modules: Mutex::default(),
            budgets: Mutex::default(),
            warm: Mutex::default(),
            awaited: Arc::default(),
        }))
    }

    /// Lets a call in, unless the node drains.
    pub(crate) fn enter(&self) -> Result<Counted, InvokeError> {
        // Counted before the question, so that a drain that begins in between waits for it.
        self.in_flight.calls.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(self.in_flight.clone());
        if self.is_draining() { Err(InvokeError::Draining) } else { Ok(counted) }
    }

    /// Whether no new work is taken.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Room for one more instance on this node. Stores that only wait make room for those that work.
    pub(crate) async fn room(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, InvokeError> {
        if let Ok(room) = self.room.clone().try_acquire_owned() {
            return Ok(room);
        }
        // Counted before the stores are shed, so that none is kept that comes back meanwhile.
        let _awaiting = Awaiting::new(&self.awaited);
        let waiting: Vec<Arc<Warm>> = lock(&self.warm).iter().filter_map(Weak::upgrade).collect();
        waiting.iter().for_each(|warm| warm.shed());
        match timeout_at(deadline, self.room.clone().acquire_owned()).await {
            Ok(Ok(room)) => Ok(room),
            Ok(Err(_closed)) => Err(InvokeError::Draining),
            Err(_elapsed) => Err(InvokeError::QueueTimeout),
        }
    }

    /// Makes compiled code ready for calls.
    pub(crate) fn loaded(&self, code: ProxyPre<Host>, isolation: Isolation) -> Loaded {
        let loaded = Loaded::new(code, isolation, self.awaited.clone());
        if loaded.warm.keeps() {
            let mut warm = lock(&self.warm);
            warm.retain(|warm| warm.strong_count() > 0);
            warm.push(Arc::downgrade(&loaded.warm));
        }
        loaded
    }

    /// Instances that live now.
    pub(crate) fn instances(&self) -> u32 {
        let max = usize::try_from(self.config.instances_max.max(1)).unwrap_or(usize::MAX);
        u32::try_from(max.saturating_sub(self.room.available_permits())).unwrap_or(u32::MAX)
    }

    /// See [`Runtime::drain`](crate::Runtime::drain).
    pub(crate) async fn drain(&self, deadline: Instant) -> u32 {
        self.draining.store(true, Ordering::SeqCst);
        if timeout_at(deadline, self.no_calls()).await.is_ok() {
            return 0;
        }
        let left = self.in_flight.calls.load(Ordering::SeqCst);
        self.cut.send_replace(true);
        left
    }

    async fn no_calls(&self) {
        loop {
            let none = self.in_flight.none.notified();
            if self.in_flight.calls.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }

    /// The output budget of a function, which all of its revisions share.
    pub(crate) fn budget(&self, function: &FunctionName) -> Arc<Mutex<LogBudget>> {
        let mut budgets = lock(&self.budgets);
        budgets.retain(|_, budget| budget.strong_count() > 0);
        if let Some(budget) = budgets.get(function).and_then(Weak::upgrade) {
            return budget;
        }
        let (lines, bytes) = (self.config.log_lines_per_second, self.config.log_bytes_per_second);
        let budget = Arc::new(Mutex::new(LogBudget::new(lines, bytes)));
        budgets.insert(function.clone(), Arc::downgrade(&budget));
        budget
    }

    /// Keeps the artifact of this module from being forgotten.
    pub(crate) fn use_module(self: &Arc<Self>, digest: Hash256) -> ModuleInUse {
        *lock(&self.modules).entry(digest).or_default() += 1;
        ModuleInUse { node: self.clone(), digest }
    }

    /// Removes an artifact that no revision uses. The lock is held meanwhile, so that none begins to.
    pub(crate) fn forget(&self, digest: &Hash256) -> std::io::Result<bool> {
        let modules = lock(&self.modules);
        if modules.contains_key(digest) { Ok(false) } else { self.artifacts.remove(digest) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A module that a revision uses.
pub(crate) struct ModuleInUse {
    node: Arc<Node>,
    digest: Hash256,
}

impl ModuleInUse {
    pub(crate) fn digest(&self) -> Hash256 {
        self.digest
    }
}

impl Drop for ModuleInUse {
    fn drop(&mut self) {
        let mut modules = lock(&self.node.modules);
        match modules.get_mut(&self.digest) {
            Some(users @ 2..) => *users -= 1,
            _ => {
                modules.remove(&self.digest);
            }
        }
    }
}
