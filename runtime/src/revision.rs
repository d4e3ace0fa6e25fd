//! A deployed revision of a function, as the router holds it: what was deployed, how it is doing, and how it is called.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use tokio::time::Instant;

use crate::{Body, InvokeError, Limits, Outbound, Scale};

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
}

/// How a revision is doing now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RevisionStats {
    /// Live stores, or 1 while the function is loaded and idle, or 0.
    pub instances: u32,
    /// Whether the compiled code is in memory.
    pub loaded: bool,
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
pub struct Revision {
    spec: Arc<RevisionSpec>,
    digest: [u8; 32],
}

impl Revision {
    /// The revision's name, such as `hello-00001`.
    pub fn name(&self) -> &str {
        &self.spec.revision
    }

    /// The function it is a revision of.
    pub fn function(&self) -> &FunctionName {
        &self.spec.function
    }

    /// SHA-256 of the module as it was given to deploy.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// How it is doing now.
    pub fn stats(&self) -> RevisionStats {
        RevisionStats::default()
    }

    /// Calls the function: waits for a place, loads the code if it is at zero, runs a fresh instance, and answers as
    /// soon as the head of the response is here. Dropping this future, or the response's body, ends the guest.
    ///
    /// # Errors
    /// See [`InvokeError`]. After the head, what goes wrong ends the body with an error.
    pub async fn invoke(&self, _call: Invocation) -> Result<Response<Body>, InvokeError> {
        Err(InvokeError::Retired)
    }

    /// Takes no new calls from now on ([`InvokeError::Retired`]); the code is unloaded when the last call ends.
    pub fn retire(&self) {}
}
