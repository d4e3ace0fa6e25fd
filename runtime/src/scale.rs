//! When a loaded function goes back to zero: a pure decision, time comes as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// How a loaded function is used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    /// Calls that hold it.
    pub(crate) in_flight: u32,
    /// When it was loaded, or the last call ended.
    pub(crate) last_used: Instant,
    /// Whether the revision takes no new calls.
    pub(crate) retired: bool,
}

/// What to do with a loaded function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Keep it, and ask again when its usage changes.
    Keep,
    /// Keep it, and ask again at this time or when its usage changes.
    KeepUntil(Instant),
    /// Unload it, for this reason.
    Unload(&'static str),
}

/// Decides. `min` and `idle` are the function's [`Scale`](crate::Scale).
pub(crate) fn decide(now: Instant, usage: Usage, min: u32, idle: Duration) -> Decision {
    if usage.in_flight > 0 {
        return Decision::Keep;
    }
    if usage.retired {
        return Decision::Unload("the revision is retired");
    }
    if min > 0 {
        return Decision::Keep;
    }
    let end = usage.last_used + idle;
    if now < end { Decision::KeepUntil(end) } else { Decision::Unload("idle") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    /// (seconds since last use, calls in flight, retired, min)
    #[track_caller]
    fn check((since, in_flight, retired, min): (u64, u32, bool, u32), expect: fn(Instant) -> Decision) {
        let last_used = Instant::now();
        let now = last_used + Duration::from_secs(since);
        let usage = Usage { in_flight, last_used, retired };
        assert_eq!(decide(now, usage, min, IDLE), expect(last_used + IDLE), "{since} {in_flight} {retired} {min}");
    }

    #[test]
    fn a_function_is_unloaded_when_nobody_needs_it() {
        check((0, 0, false, 0), Decision::KeepUntil);
        check((59, 0, false, 0), Decision::KeepUntil);
        check((60, 0, false, 0), |_| Decision::Unload("idle"));
        check((600, 1, false, 0), |_| Decision::Keep);
        check((600, 0, false, 1), |_| Decision::Keep);
        check((0, 0, true, 1), |_| Decision::Unload("the revision is retired"));
        check((600, 3, true, 0), |_| Decision::Keep);
    }
}
