//! How traffic reaches a function: now (HTTP) or later (events), by one path.

pub mod app;
pub mod cli;
pub mod config;
pub mod control;
pub mod delivery;
pub mod edge;
pub mod path;
pub mod targets;
pub mod telemetry;
