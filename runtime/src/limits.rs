//! Every limit of the runtime: what a node configures, what a function's manifest sets, and the constants with the
//! reason for each number. Separate, so that the table in the README can be compared with one file.

use std::{path::PathBuf, time::Duration};

/// A kibibyte.
const KIB: u64 = 1024;
/// A mebibyte.
const MIB: u64 = 1024 * KIB;

/// Length of an epoch tick. A guest that runs yields its thread at each tick; 10 ms keeps other work on that thread
/// within the two ticks the design promises.
pub const TICK: Duration = Duration::from_millis(10);
/// Processor time after which a call goes on on the guest threads of lower priority: one tick.
pub const HEAVY_AFTER: Duration = TICK;
/// Stack of a guest in bytes: 512 KiB, wasmtime's own default; deeper recursion traps.
pub const GUEST_STACK_BYTES: usize = 512 * 1024;
/// Elements of one table. Python and JavaScript components need some thousands.
pub const TABLE_ELEMENTS: usize = 20_000;
/// Tables of one component, over all of its core instances.
pub const TABLES: u32 = 16;
/// Core instances of one component: those made of Python need dozens.
pub const CORE_INSTANCES: u32 = 200;
/// Linear memories of one component. One is its own; adapters that were linked in may bring another. Their sum is
/// what [`Limits::memory`] bounds.
pub const MEMORIES: u32 = 4;
/// Host resources (bodies, streams, header maps, pollables, …) one call may hold at once.
pub const RESOURCES: usize = 1_000;
/// Bytes of lists and strings one host call may copy out of the guest.
pub const HOSTCALL_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one header map, with wasmtime's overhead for each field.
pub const FIELDS_BYTES: usize = 32 * 1024;
/// Bytes one call of `wasi:random` may ask for.
pub const RANDOM_BYTES: u64 = 64 * KIB;
/// Outgoing calls of one invocation in flight at once; more wait for their turn.
pub const OUTBOUND_MAX: usize = 8;
/// Bytes of one write to an outgoing body. With [`BODY_CHUNKS`] this bounds what a stream buffers: 128 KiB.
pub const BODY_CHUNK_BYTES: usize = 64 * 1024;
/// Writes to an outgoing body that wait for the reader.
pub const BODY_CHUNKS: usize = 1;
/// Bytes of one line of guest output; longer lines are cut into several.
pub const LOG_LINE_BYTES: usize = 8 * 1024;
/// Longest time the trial instantiation of a deploy may take; its processor time is bounded by [`Limits::cpu`].
pub const TRIAL_TIME: Duration = Duration::from_secs(10);
/// Time after which a shared store that no call needed is dropped, when another one is given back.
pub const WARM_TIME: Duration = Duration::from_secs(10);
/// Host resources that a shared store may keep between two calls, such as its standard streams.
pub const RESOURCES_KEPT: usize = 16;
/// Linear memory, in bytes, that a used slot of the pool keeps for its next guest.
pub(crate) const KEEP_MEMORY_BYTES: usize = 512 * 1024;
/// Table and stack memory, in bytes, that a used slot of the pool keeps for its next guest.
pub(crate) const KEEP_SMALL_BYTES: usize = 64 * 1024;
/// Used slots of the pool that stay ready for the component they had.
pub(crate) const WARM_SLOTS: u32 = 100;

/// What a node configures. [`Config::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of compiled artifacts. Made with mode 0700 if missing; it must be the node's alone.
    pub artifacts: PathBuf,
    /// Live instances on this node, over all functions. Default 1,000.
    pub instances_max: u32,
    /// Ceiling, in bytes, for [`Limits::memory`]. Default 1 GiB; the address space of the pool follows from it.
    pub memory_max: u64,
    /// Largest module, in bytes. Default 64 MiB (components made from Python have 18).
    pub component_bytes_max: u64,
    /// Compilations at once. Default 1: compiling must not take the processors from serving.
    pub compiles_at_once: u32,
    /// Threads for calls that used more than a tick of processor time. Default: one for each processor.
    pub guest_threads: u32,
    /// Lines of guest output passed on per second and function. Default 100.
    pub log_lines_per_second: u32,
    /// Bytes of guest output passed on per second and function. Default 64 KiB.
    pub log_bytes_per_second: u64,
}

impl Config {
    /// The defaults, with artifacts in this directory.
    pub fn new(artifacts: impl Into<PathBuf>) -> Self {
        Self {
            artifacts: artifacts.into(),
            instances_max: 1_000,
            memory_max: 1024 * MIB,
            component_bytes_max: 64 * MIB,
            compiles_at_once: 1,
            guest_threads: std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1)),
            log_lines_per_second: 100,
            log_bytes_per_second: 64 * KIB,
        }
    }
}

/// What one call of a function may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory in bytes, over all memories of the component. Default 64 MiB.
    pub memory: u64,
    /// Processor time of the whole call. Default 1 s.
    pub cpu: Duration,
    /// From the start of the call to the head of its response. Default 30 s.
    pub timeout: Duration,
    /// Between two frames of the response's body, and for what a guest does after its body. Default 15 s.
    pub idle: Duration,
    /// The whole response body, from its head. Default 5 min.
    pub stream: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 64 * MIB,
            cpu: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            idle: Duration::from_secs(15),
            stream: Duration::from_secs(300),
        }
    }
}

/// Who shares a store. What a call leaves in its memory is there for those that share it, and for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// Nobody (default): each call has a fresh one.
    #[default]
    Request,
    /// Calls of the same revision, one after the other.
    Revision(Recycle),
}

/// When a shared store is dropped although nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recycle {
    /// After so many calls. Default 1,000.
    pub calls: u32,
    /// When it was made so long ago. Default 10 min.
    pub age: Duration,
    /// When its memories together have more bytes than this. Default 32 MiB.
    pub memory: u64,
}

impl Default for Recycle {
    fn default() -> Self {
        Self { calls: 1_000, age: Duration::from_secs(600), memory: 32 * MIB }
    }
}

/// How many of a function there may be, and when there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// With 1 or more the function stays loaded. Default 0. (A fresh instance serves each call, so there are never
    /// idle instances to keep: 5 means the same as 1.)
    pub min: u32,
    /// Concurrent calls. Default 100.
    pub max: u32,
    /// Time without a call after which the function is unloaded. Default 60 s.
    pub idle: Duration,
    /// Calls that wait for their turn or for the load; one more is refused. Default 1,000.
    pub queue: u32,
}

impl Default for Scale {
    fn default() -> Self {
        Self { min: 0, max: 100, idle: Duration::from_secs(60), queue: 1_000 }
    }
}
