#![doc = include_str!("../README.md")]

mod body;
mod error;
mod event;
mod export;
mod headers;
mod host;
mod log;
mod outbound;
mod request;
mod response;
pub mod serve;

use std::time::SystemTime;

pub use body::BODY_LIMIT;
pub use error::Error;
pub use event::Event;
pub use headers::Headers;
pub use outbound::{Receipt, call, fetch, publish};
pub use request::Request;
pub use response::Response;
pub use serve::{Delivery, IntoReply};

#[doc(hidden)]
pub use export::hidden as __hidden;

/// A value of this function's environment: what its manifest's `env` says, and `WEFT_NAMESPACE`, `WEFT_FUNCTION` and
/// `WEFT_REVISION` from the mesh.
pub fn env(name: &str) -> Option<String> {
    host::environment(name)
}

/// The time of day of the node. Works on every wasm target, unlike std's.
pub fn now() -> SystemTime {
    host::now()
}

/// The namespace this function is deployed in; `default` where the mesh does not say.
pub fn namespace() -> String {
    env("WEFT_NAMESPACE").unwrap_or_else(|| "default".to_owned())
}

/// The name this function is deployed by; `function` where the mesh does not say.
pub fn function_name() -> String {
    env("WEFT_FUNCTION").unwrap_or_else(|| "function".to_owned())
}
