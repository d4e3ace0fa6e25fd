//! What is deployed, and why. Manifests from the watched folder or the admin API become a *desired state*, kept as a
//! change log; what the desired state needs is deployed, opened and handed to the path as one snapshot.
//!
//! ```text
//! folder ─ watch ─┐
//!                 ├─► deployments: resolve → desired::plan → deploy → changelog → snapshot ─► path
//! admin ── apply ─┘
//! ```

pub mod admin;
pub mod built_in;
pub mod changelog;
pub mod deployments;
pub mod desired;
pub mod explain;
#[cfg(test)]
mod fixture;
pub mod folder;
pub mod generations;
pub mod jobs;
pub mod modules;
pub mod readiness;
pub mod refusals;
pub mod scale_log;
mod timestamp;
pub mod watch;
