//! The only door to what is outside of the function. In a module it is the mesh (`host/wasi.rs`, WASI 0.2);
//! elsewhere, in a function's own unit tests, a stand-in that has a clock and no network (`host/local.rs`).

#[cfg(not(target_arch = "wasm32"))]
mod local;
#[cfg(target_arch = "wasm32")]
mod wasi;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use local::{environment, now, random, send, write_log};
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub use wasi::serve;
#[cfg(target_arch = "wasm32")]
pub(crate) use wasi::{environment, now, random, send, write_log};

/// 128 random bits in hex: unique without asking anybody.
pub(crate) fn random_id() -> String {
    format!("{:016x}{:016x}", random(), random())
}
