#![doc = include_str!("../README.md")]
//! This file holds the public surface: [`Runtime`] deploys, a [`Revision`] is invoked and retired.

mod body;
mod error;
pub mod limits;
mod observer;
mod outbound;
mod revision;

use std::{io, sync::Arc};

use tokio::time::Instant;

pub use body::{Body, BodyError, BodyErrorKind, empty, full};
pub use error::{DeployError, InvokeError, StartError};
pub use limits::{Config, Limits, Scale};
pub use observer::{ColdStart, GuestStream, Observer, Unobserved};
pub use outbound::{Outbound, OutboundError, OutboundTimeouts};
pub use revision::{FunctionName, Invocation, Module, Revision, RevisionSpec, RevisionStats};

/// Runs functions on this node. Clones share everything.
#[derive(Clone)]
pub struct Runtime {
    _observer: Arc<dyn Observer>,
}

/// How the whole runtime is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RuntimeStats {
    /// Live stores, over all functions.
    pub instances: u32,
    /// Revisions whose code is in memory.
    pub loaded: u32,
}

impl Runtime {
    /// Starts the engine. Needs a tokio runtime with timers to be current when it is used, not here.
    ///
    /// # Errors
    /// [`StartError`] when the directory of artifacts or the engine's settings cannot be used on this machine.
    pub fn new(_config: Config, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        Ok(Self { _observer: observer })
    }

    /// Makes a revision callable: checks the module, compiles it off the async threads unless its artifact is here
    /// and verifies, and instantiates it once. Deploying the same bytes again compiles nothing.
    ///
    /// # Errors
    /// [`DeployError`] says what is wrong with the module and how to build it right. Nothing deployed before changes.
    pub async fn deploy(&self, _spec: RevisionSpec) -> Result<Revision, DeployError> {
        Err(DeployError::Draining)
    }

    /// Takes no new calls ([`InvokeError::Draining`]), waits until the last call ends or the deadline passes, and
    /// cancels what is left. Returns how many calls were cut.
    pub async fn drain(&self, _deadline: Instant) -> u32 {
        0
    }

    /// How the runtime is doing now.
    pub fn stats(&self) -> RuntimeStats {
        RuntimeStats::default()
    }

    /// Removes the artifact of this module unless a revision still needs it. Returns whether one was removed.
    ///
    /// # Errors
    /// What the file system said.
    pub async fn forget(&self, _digest: [u8; 32]) -> io::Result<bool> {
        Ok(false)
    }
}
