//! What operators see of calls: metrics and access lines, both written from a call's finished record.

pub mod access_log;
pub mod logging;
pub mod metrics;
pub mod observer;
