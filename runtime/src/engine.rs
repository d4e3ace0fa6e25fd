//! The wasmtime engine of a node: its settings, the clock that interrupts guests, and the threads on which guests and
//! the compiler run with lower priority. Separate, because every setting here is part of what an artifact depends on
//! or of what a guest may cost others.

use std::{future::Future, io, thread};

use tokio::sync::oneshot;
use wasmtime::{Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, component::Linker};

use crate::{
    Config, StartError,
    host::{Host, link},
    limits,
};

/// Niceness of the threads that go on with calls which used more than a tick: they give way to everything that
/// answers requests, and still get a third of a busy core.
const GUEST_NICE: i32 = 5;
/// Niceness of compilation, below guests.
const COMPILE_NICE: i32 = 10;
/// Slots of the pool for each live instance. Most components have one memory and one or two tables; a node full of
/// those that have more runs fewer of them.
const MEMORIES_PER_INSTANCE: u32 = 2;
/// See [`MEMORIES_PER_INSTANCE`].
const TABLES_PER_INSTANCE: u32 = 4;
/// Bytes of wasmtime's own state for one component instance, all of its core instances included. Components made of
/// Python need more than the default of 1 MiB.
const INSTANCE_STATE_BYTES: usize = 4 * 1024 * 1024;

/// The engine, what it offers to guests, and its threads.
pub(crate) struct Engine {
    wasm: wasmtime::Engine,
    linker: Linker<Host>,
    guests: GuestThreads,
}

impl Engine {
    /// Starts the engine and the thread that ticks.
    pub(crate) fn start(config: &Config) -> Result<Self, StartError> {
        let wasm = wasmtime::Engine::new(&settings(config)).map_err(|e| StartError::Engine(format!("{e:#}")))?;
        let mut linker = Linker::new(&wasm);
        link::offer(&mut linker).map_err(|e| StartError::Engine(format!("{e:#}")))?;
        tick(&wasm).map_err(StartError::Thread)?;
        let guests = GuestThreads::start(config.guest_threads).map_err(StartError::Thread)?;
        Ok(Self { wasm, linker, guests })
    }

    /// The wasmtime engine.
    pub(crate) fn wasm(&self) -> &wasmtime::Engine {
        &self.wasm
    }

    /// Everything that is offered to guests.
    pub(crate) fn linker(&self) -> &Linker<Host> {
        &self.linker
    }

    /// Goes on with the work of a guest on the threads of lower priority.
    pub(crate) fn go_on(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(threads) = &self.guests.0 {
            threads.spawn(work);
        }
    }
}

fn settings(config: &Config) -> wasmtime::Config {
    let instances = config.instances_max.max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(limits::CORE_INSTANCES))
        .total_memories(instances.saturating_mul(MEMORIES_PER_INSTANCE).max(limits::MEMORIES))
        .total_tables(instances.saturating_mul(TABLES_PER_INSTANCE).max(limits::TABLES))
        .total_stacks(instances)
        .max_component_instance_size(INSTANCE_STATE_BYTES)
        .max_core_instance_size(INSTANCE_STATE_BYTES)
        .max_core_instances_per_component(limits::CORE_INSTANCES)
        .max_memories_per_component(limits::MEMORIES)
        .max_tables_per_component(limits::TABLES)
        .max_tables_per_module(limits::TABLES)
        .max_memories_per_module(limits::MEMORIES)
        .table_elements(limits::TABLE_ELEMENTS)
        .max_memory_size(usize::try_from(config.memory_max).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(limits::KEEP_MEMORY_BYTES)
        .table_keep_resident(limits::KEEP_SMALL_BYTES)
        .async_stack_keep_resident(limits::KEEP_SMALL_BYTES)
        .max_unused_warm_slots(limits::WARM_SLOTS)
        // Without the scan, keeping memory resident means clearing all of it at each reset.
        .pagemap_scan(Enabled::Auto);
    let mut settings = wasmtime::Config::new();
    settings
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .epoch_interruption(true)
        .max_wasm_stack(limits::GUEST_STACK_BYTES)
        .memory_init_cow(true)
        // Concurrent tasks in one store are what wasi 0.3 needs; for 0.2 they only cost time in each call.
        .concurrency_support(false)
        .wasm_memory64(false)
        .shared_memory(false);
    settings
}

/// Starts the thread that advances the epoch; it ends with the engine.
fn tick(engine: &wasmtime::Engine) -> io::Result<()> {
    let engine = engine.weak();
    thread::Builder::new().name("weft-epoch".to_owned()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            thread::sleep(limits::TICK);
        }
    })?;
    Ok(())
}

/// The threads for guests that used more than a tick. `None` only while it is dropped.
struct GuestThreads(Option<tokio::runtime::Runtime>);

impl GuestThreads {
    fn start(threads: u32) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(usize::try_from(threads.max(1)).unwrap_or(1))
            .thread_name("weft-guest")
            .on_thread_start(|| give_way(GUEST_NICE))
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }
}

impl Drop for GuestThreads {
    fn drop(&mut self) {
        // An ordinary drop would wait for guests, and panics inside an async context.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread. (On Linux, niceness belongs to a thread, and new threads inherit it:
/// so do the helpers that the compiler starts.)
fn give_way(nice: i32) {
    if let Err(error) = rustix::process::setpriority_process(None, nice) {
        tracing::debug!(target: "weft::runtime", %error, "cannot lower the priority of a thread");
    }
}

/// Runs `job` on a thread of its own with the priority of compilation. `None` when the thread could not be started or
/// the job panicked.
pub(crate) async fn compile<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = oneshot::channel();
    let work = move || {
        give_way(COMPILE_NICE);
        // The receiver is gone when the deploy was given up; the artifact is kept all the same.
        let _ = done.send(job());
    };
    thread::Builder::new().name("weft-compile".to_owned()).spawn(work).ok()?;
    result.await.ok()
}
