//! Why starting the runtime, deploying or invoking failed: one small enum each, because callers branch on them.

use std::{io, path::PathBuf};

/// Why the runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The directory of artifacts cannot be used.
    #[error("cannot use the artifact directory {}: {source}; it must be writable, and the node's alone", path.display())]
    Artifacts {
        /// The directory, or the file in it, that failed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The engine does not accept its settings on this machine.
    #[error("cannot start the wasm engine: {0}")]
    Engine(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// Why a module was not deployed. What was deployed before stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The bytes are no WebAssembly at all.
    #[error(
        "the module is not wasm: its first bytes are {found}, a wasm binary begins with 00 61 73 6d; \
         give the .wasm file that the build made"
    )]
    NotWasm {
        /// The first bytes in hexadecimal, or a word for an empty file.
        found: String,
    },
    /// A core module that says nothing of the interfaces it implements.
    #[error(
        "the module is a core wasm module without an embedded component type, so its interfaces are unknown; \
         build a component: `cargo build --target wasm32-wasip2` with weft-sdk, or link with wasm-component-ld"
    )]
    CoreModuleWithoutComponentType,
    /// The core module could not be turned into a component.
    #[error("the core module cannot be turned into a component: {0}; build a component with `--target wasm32-wasip2`")]
    NotComponentizable(String),
    /// The component does not export what a function must export.
    #[error(
        "the component does not export {wanted}; it exports {}; implement a request handler with weft-sdk, \
         or the world wasi:http/proxy@0.2",
        list(exports)
    )]
    MissingExport {
        /// The interface a function must export.
        wanted: String,
        /// What the component exports instead.
        exports: Vec<String>,
    },
    /// The component imports something that is not offered.
    #[error("the component imports {name}, which is not offered; offered are {}", list(offered))]
    UnknownImport {
        /// The import in full, with its version.
        name: String,
        /// All interfaces that are offered.
        offered: Vec<String>,
    },
    /// The interfaces have the right names and not the right functions or types.
    #[error("the component does not fit the offered interfaces of WASI 0.2: {0}; build it for WASI 0.2.12 or older")]
    InterfaceMismatch(String),
    /// The module is larger than the node takes.
    #[error("the module has {bytes} bytes, more than the limit of {limit}; strip debug information or raise the limit")]
    TooLarge {
        /// Size of the module in bytes.
        bytes: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The manifest asks for more than the node allows.
    #[error("limits.memory is {bytes} bytes, more than the {limit} that this node allows")]
    MemoryLimit {
        /// Bytes asked for.
        bytes: u64,
        /// Ceiling of the node in bytes.
        limit: u64,
    },
    /// The module is invalid, or uses a wasm feature that is off (threads, 64-bit memory, component-model async, …).
    #[error("the module does not compile: {0}")]
    Compile(String),
    /// The component compiled and could not be instantiated once.
    #[error("the module fails when it is instantiated: {0}")]
    InitTrapped(String),
    /// Only a digest was given, and no artifact of that module is here.
    #[error("no compiled artifact of the module {digest} is here; deploy its bytes")]
    UnknownDigest {
        /// SHA-256 of the module in hexadecimal.
        digest: String,
    },
    /// The artifact could not be written or read.
    #[error("cannot keep the compiled artifact: {0}")]
    Artifact(String),
    /// The node has no room for the trial instantiation now.
    #[error("the node runs as many instances as it may; deploy again later")]
    Busy,
    /// The runtime is ending.
    #[error("the node is draining and deploys nothing")]
    Draining,
}

/// Why an invocation has no response. Reason codes are in brackets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The guest trapped before its response began (`FN_TRAP`).
    #[error("the function trapped: {0}")]
    Trap(String),
    /// The guest used up its processor time (`FN_CPU`).
    #[error("the function used up its processor time")]
    Cpu,
    /// The guest's response did not begin in time (`FN_TIMEOUT`).
    #[error("the function did not answer in time")]
    Timeout,
    /// The guest was refused memory beyond its limit, and failed of it (`FN_MEMORY`).
    #[error("the function needs more memory than its limit")]
    Memory,
    /// The guest ended without a response, or its response cannot be passed on (`FN_BAD_RESPONSE`).
    #[error("the function gave no valid response: {0}")]
    BadResponse(String),
    /// Too many calls wait already (`LIMIT_QUEUE`).
    #[error("too many calls wait for the function")]
    QueueFull,
    /// The call's deadline passed before its turn came or the function was loaded (`COLD_TIMEOUT`).
    #[error("the call waited for the function until its deadline")]
    QueueTimeout,
    /// The function could not be loaded (`COLD_LOAD_FAILED`).
    #[error("the function cannot be loaded: {0}")]
    LoadFailed(String),
    /// The request cannot be handed to a guest: no authority, or one that is no text. A caller's defect.
    #[error("the request cannot be handed to a function: {0}")]
    BadRequest(String),
    /// The call was cut by the end of a drain.
    #[error("the call was cancelled")]
    Cancelled,
    /// The runtime takes no new calls (`DRAINING`).
    #[error("the node is draining")]
    Draining,
    /// The revision takes no new calls; the caller holds an old one.
    #[error("the revision is retired")]
    Retired,
}

impl InvokeError {
    /// The reason code of the catalogue; `None` for what only the caller of this crate can cause.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Trap(_) => Some("FN_TRAP"),
            Self::Cpu => Some("FN_CPU"),
            Self::Timeout => Some("FN_TIMEOUT"),
            Self::Memory => Some("FN_MEMORY"),
            Self::BadResponse(_) => Some("FN_BAD_RESPONSE"),
            Self::QueueFull => Some("LIMIT_QUEUE"),
            Self::QueueTimeout => Some("COLD_TIMEOUT"),
            Self::LoadFailed(_) => Some("COLD_LOAD_FAILED"),
            Self::Draining | Self::Cancelled => Some("DRAINING"),
            Self::BadRequest(_) | Self::Retired => None,
        }
    }
}

/// Names for a message: `a, b and c`, or `nothing`.
fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
