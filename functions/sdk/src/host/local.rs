//! The stand-in for the mesh where there is none: unit tests of a function, built for the machine they run on.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::SystemTime;

use crate::{Error, Request, Response};

pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(clippy::disallowed_methods, reason = "the guest side: the function's clock is this machine's")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}

/// Each `RandomState` is seeded anew, which spares a dependency that only tests would use.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

pub(crate) fn write_log(line: &str) {
    eprint!("{line}");
}

pub(crate) fn send(scheme: &str, authority: &str, request: Request) -> Result<Response, Error> {
    let (method, target) = (request.method(), request.target());
    Err(Error::new(format!("{method} {scheme}://{authority}{target} needs the mesh, and this is a local test")))
}
