//! What the runtime tells about itself while it works: cold starts, scaling, and what guests print. Separate, because
//! metrics and logs are made elsewhere and this crate only says what happened.

use std::time::Duration;

use crate::FunctionName;

/// Receives what happens. Called from the threads that run guests: implementations return at once and never block.
pub trait Observer: Send + Sync {
    /// A call that found its function at zero got its first byte.
    fn cold_start(&self, function: &FunctionName, revision: &str, phases: ColdStart);

    /// The number of instances changed between zero and more than zero; `why` is one phrase for people.
    fn scaled(&self, function: &FunctionName, revision: &str, from: u32, to: u32, why: &str);

    /// The guest wrote a line. It has no line end, at most [`LOG_LINE_BYTES`](crate::limits::LOG_LINE_BYTES) bytes of
    /// guest text, and its control characters are escaped: it can be printed as it stands.
    fn guest_line(&self, function: &FunctionName, revision: &str, stream: GuestStream, line: &str);

    /// This many lines were not handed over, because the function writes faster than the limit. At most once a second.
    fn guest_lines_dropped(&self, function: &FunctionName, revision: &str, lines: u64);
}

/// An [`Observer`] that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn cold_start(&self, _: &FunctionName, _: &str, _: ColdStart) {}
    fn scaled(&self, _: &FunctionName, _: &str, _: u32, _: u32, _: &str) {}
    fn guest_line(&self, _: &FunctionName, _: &str, _: GuestStream, _: &str) {}
    fn guest_lines_dropped(&self, _: &FunctionName, _: &str, _: u64) {}
}

/// Where the time of a cold start went. The phases follow each other and do not overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColdStart {
    /// Waiting for a place among the function's concurrent calls.
    pub queue: Duration,
    /// Checking and mapping the artifact, and linking it.
    pub load: Duration,
    /// Making the store and the instance.
    pub instantiate: Duration,
    /// From there to the head of the guest's response.
    pub first_byte: Duration,
}

/// Which of its two streams a guest wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl GuestStream {
    /// `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}
