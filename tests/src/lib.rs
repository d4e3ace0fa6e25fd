//! The harness: a real node as a child process, real clients, and a server that records what is delivered to it. Tests
//! see what a user sees and nothing else, so nothing of ours is linked here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on ends here")]

pub mod access;
pub mod child;
pub mod cli;
pub mod client;
pub mod events;
mod eventually;
pub mod manifest;
pub mod metrics;
pub mod modules;
pub mod node;
pub mod project;
pub mod raw;
pub mod serve;
pub mod sink;
pub mod workload;

pub use client::{Answer, Ask};
pub use eventually::{PATIENCE, eventually, eventually_within};
pub use metrics::Scrape;
pub use node::Node;
pub use project::Project;
pub use serve::{Served, Site};
pub use sink::{Reply, Sink};
pub use workload::Workload;
