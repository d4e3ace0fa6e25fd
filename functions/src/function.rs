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
        json!({
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
        })
    }
}
