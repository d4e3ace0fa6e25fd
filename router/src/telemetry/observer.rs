//! What the runtime tells, as metrics and log lines: cold starts, the way between zero and one, and what guests print.

use std::sync::Arc;

use weft_runtime::{ColdStart, FunctionName, GuestStream, Observer};

use super::metrics::Metrics;
use crate::control::scale_log::ScaleLog;

/// Writes down what the runtime does.
pub struct Witness {
    /// Where cold starts and dropped lines count.
    pub metrics: Arc<Metrics>,
    /// Where the last changes of scale are kept for `describe`.
    pub scale: Arc<ScaleLog>,
}

impl Observer for Witness {
    fn cold_start(&self, function: &FunctionName, revision: &str, phases: ColdStart) {
        self.metrics.cold_start(&phases);
        tracing::debug!(target: "weft::scale", %function, revision, ?phases, "cold start");
    }

    fn scaled(&self, function: &FunctionName, revision: &str, from: u32, to: u32, why: &str) {
        // The runtime has written its own line.
        self.scale.scaled(function, revision, from, to, why);
    }

    fn guest_line(&self, function: &FunctionName, revision: &str, stream: GuestStream, line: &str) {
        tracing::info!(target: "weft::guest", %function, revision, stream = stream.as_str(), "{line}");
    }

    fn guest_lines_dropped(&self, function: &FunctionName, revision: &str, lines: u64) {
        self.metrics.guest_lines_dropped(&function.namespace, &function.name, lines);
        tracing::warn!(target: "weft::guest", %function, revision, lines, "lines dropped: the function writes too much");
    }
}
