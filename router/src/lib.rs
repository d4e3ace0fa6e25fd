//! How traffic reaches a function: now (HTTP) or later (events), by one path.

pub mod cli;
pub mod delivery;
pub mod edge;
pub mod path;
pub mod targets;
pub mod telemetry;
