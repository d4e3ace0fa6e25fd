#![doc = include_str!("../README.md")]
//! This file holds the public surface: [`Runtime`] deploys, a [`Revision`] is invoked and retired.

mod activator;
mod artifact;
mod body;
mod component;
mod deploy;
mod engine;
mod error;
mod host;
mod instance;
pub mod limits;
mod load;
mod meter;
mod node;
mod observer;
mod outbound;
mod queue;
mod response;
mod revision;
mod scale;
#[cfg(test)]
mod tests;
mod warm;

use std::{io, sync::Arc};

use tokio::{task::spawn_blocking, time::Instant};

pub use body::{Body, BodyError, BodyErrorKind, empty, full};
pub use error::{DeployError, InvokeError, StartError};
pub use limits::{Config, Isolation, Limits, Recycle, Scale};
pub use observer::{ColdStart, GuestStream, Observer, Unobserved};
pub use outbound::{Outbound, OutboundError, OutboundTimeouts};
pub use revision::{FunctionName, Invocation, Module, Revision, RevisionSpec, RevisionStats};

use node::Node;

/// Runs functions on this node. Clones share everything.
#[derive(Clone)]
pub struct Runtime {
    node: Arc<Node>,
}

/// How the whole runtime is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// Live stores, over all functions.
    pub instances: u32,
}

impl Runtime {
    /// Starts the engine. A tokio runtime with timers must be current when functions are deployed and invoked.
    ///
    /// # Errors
    /// [`StartError`] when the directory of artifacts or the engine's settings cannot be used on this machine.
    pub fn new(config: Config, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        Ok(Self { node: Node::start(config, observer)? })
    }

    /// Makes a revision callable: checks the module, compiles it off the async threads unless its artifact is here
    /// and verifies, and instantiates it once. Deploying the same bytes again compiles nothing.
    ///
    /// # Errors
    /// [`DeployError`] says what is wrong with the module and how to build it right. Nothing deployed before changes.
    pub async fn deploy(&self, spec: RevisionSpec) -> Result<Revision, DeployError> {
        deploy::deploy(&self.node, spec).await
    }

    /// Takes no new calls ([`InvokeError::Draining`]), waits until the last call ends or the deadline passes, and
    /// cancels what is left. Returns how many calls were cut. (Functions that call functions need the runtime until
    /// their own calls end: drain the listeners first.)
    pub async fn drain(&self, deadline: Instant) -> u32 {
        self.node.drain(deadline).await
    }

    /// How the runtime is doing now.
    pub fn stats(&self) -> RuntimeStats {
        RuntimeStats { instances: self.node.instances() }
    }

    /// Removes the artifact of this module unless a revision still needs it. Returns whether one was removed.
    ///
    /// # Errors
    /// What the file system said.
    pub async fn forget(&self, digest: [u8; 32]) -> io::Result<bool> {
        let node = self.node.clone();
        spawn_blocking(move || node.forget(&digest)).await.map_err(io::Error::other)?
    }
}
