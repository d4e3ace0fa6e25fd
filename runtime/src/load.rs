//! From an artifact to code that can be instantiated: the one place where compiled code enters the process.

use std::path::Path;

use wasmtime::component::Component;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

use crate::{DeployError, engine::Engine, host::Host};

/// Maps the artifact, and links it with what is offered. `verified` is a file that
/// [`Artifacts`](crate::artifact::Artifacts) just gave out.
pub(crate) fn load(engine: &Engine, verified: &Path) -> Result<ProxyPre<Host>, DeployError> {
    let component = map(engine, verified)?;
    let pre = engine.linker().instantiate_pre(&component).map_err(mismatch)?;
    ProxyPre::new(pre).map_err(mismatch)
}

fn mismatch(error: wasmtime::Error) -> DeployError {
    DeployError::InterfaceMismatch(format!("{error:#}"))
}

#[expect(
    unsafe_code,
    reason = "JUSTIFICATION: compiling takes from milliseconds to seconds and mapping 0.1 ms, so starting from zero \
              is not possible without loading code from disk; wasmtime cannot check such code and calls this unsafe"
)]
fn map(engine: &Engine, verified: &Path) -> Result<Component, DeployError> {
    // SAFETY: the file must be unchanged output of `precompile_component` of a wasmtime like this one. `Artifacts` gave
    // it out after checking a MAC over all of it, with a key that only this node has, so this node made it; the name
    // contains the compatibility hash of this engine; and the directory, mode 0700, is the node's alone, so nobody else
    // changes the file between the check and the end of the mapping. We ourselves only rename new files into place.
    let component = unsafe { Component::deserialize_file(engine.wasm(), verified) };
    component.map_err(|error| DeployError::Artifact(format!("{error:#}")))
}
