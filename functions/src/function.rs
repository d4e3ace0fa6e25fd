//! The resource `Function`: a WebAssembly module, what it may reach, how it scales and what bounds it.

mod allow_host;
mod read;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use allow_host::{AllowHost, HostPattern};

use crate::manifest::{Code, Location, Metadata, Place, Problem};
use crate::value::{Duration, Size};

/// A function as a person wrote it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Name and namespace.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: FunctionSpec,
    /// Where its document begins.
    pub location: Location,
    /// Where it names its module.
    pub(crate) module_place: Place,
}

impl Function {
    /// A mistake in the module, which only somebody with the file can find, at the line that names it.
    pub fn module_problem(&self, message: impl Into<String>) -> Problem {
        self.module_place.problem(Code::BadModule, message)
    }
}

/// The body of a [`Function`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Path of the module, relative to the manifest's folder. (`oci://…` is refused in this version.)
    pub module: String,
    /// Environment of the guest; default empty. Names are not empty and hold no `=`.
    pub env: BTreeMap<String, String>,
    /// Hosts that the function may call outside the mesh; default none.
    pub allow_hosts: Vec<AllowHost>,
    /// How many run, and for how long without work.
    pub scale: Scale,
    /// What one call may use.
    pub limits: Limits,
    /// Who shares an instance.
    pub isolation: Isolation,
}

/// Who shares an instance. What a call leaves in it is there for those that share it, and for nobody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// `request` (default): nobody; each call has a fresh one.
    #[default]
    Request,
    /// `revision`: calls of the same revision, one after the other, until [`Recycle`] says that it has served its time.
    Revision(Recycle),
}

/// When a shared instance is replaced by a fresh one. Defaults: `{ calls: 1000, age: 10m, memory: 32Mi }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recycle {
    /// After so many calls: 1 to 1,000,000.
    pub calls: u32,
    /// When it is so old: 1 s to 24 h.
    pub age: Duration,
    /// When its memory has grown beyond this: 64Ki to 4Gi.
    pub memory: Size,
}

impl Default for Recycle {
    fn default() -> Self {
        Self { calls: 1_000, age: Duration::from_secs(600), memory: Size::from_mebibytes(32) }
    }
}

/// How a function scales. Defaults: `{ min: 0, max: 100, idle: 60s, queue: 1000 }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Instances kept loaded without traffic: 0 to 1,000, at most `max`. 0 scales to zero.
    pub min: u32,
    /// Concurrent calls per node: 1 to 10,000.
    pub max: u32,
    /// After this long without a call the function is unloaded: 10 ms to 30 d.
    pub idle: Duration,
    /// Calls that may wait for an instance: 0 to 100,000. More are refused.
    pub queue: u32,
}

impl Default for Scale {
    fn default() -> Self {
        Self { min: 0, max: 100, idle: Duration::from_secs(60), queue: 1_000 }
    }
}

/// What one call may use. Defaults: `{ memory: 64Mi, cpu: 1s, timeout: 30s, idle: 15s, stream: 5m }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance: 1Mi to 4Gi (the address space of wasm32).
    pub memory: Size,
    /// Processor time of a call: 1 ms to 1 h.
    pub cpu: Duration,
    /// From the request to the first byte of the response: 1 ms to 1 h.
    pub timeout: Duration,
    /// Between two bytes of the response: 1 ms to 1 h.
    pub idle: Duration,
    /// The whole response stream: 1 ms to 24 h.
    pub stream: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Size::from_mebibytes(64),
            cpu: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            idle: Duration::from_secs(15),
            stream: Duration::from_secs(300),
        }
    }
}

impl FunctionSpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        let allow_hosts: Vec<String> = self.allow_hosts.iter().map(AllowHost::to_string).collect();
        let mut spec = json!({
            "module": self.module,
            "env": self.env,
            "allowHosts": allow_hosts,
            "scale": { "min": self.scale.min, "max": self.scale.max, "idle": self.scale.idle, "queue": self.scale.queue },
            "limits": {
                "memory": self.limits.memory,
                "cpu": self.limits.cpu,
                "timeout": self.limits.timeout,
                "idle": self.limits.idle,
                "stream": self.limits.stream,
            },
        });
        // Left out where it is the default: whoever reads the change log by the version before this one knows no other.
        if let (Isolation::Revision(Recycle { calls, age, memory }), Some(spec)) =
            (self.isolation, spec.as_object_mut())
        {
            spec.insert("isolation".to_owned(), "revision".into());
            spec.insert("recycle".to_owned(), json!({ "calls": calls, "age": age, "memory": memory }));
        }
        spec
    }
}
