//! How many lines of a function pass in a second: pure, time comes as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// Lines and bytes are counted in windows of this length.
const WINDOW: Duration = Duration::from_secs(1);

/// The counters of one function.
#[derive(Debug)]
pub(crate) struct LogBudget {
    lines_max: u32,
    bytes_max: u64,
    window: Option<Instant>,
    lines: u32,
    bytes: u64,
    dropped: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It passes.
    Yes,
    /// It is dropped and counted.
    No,
    /// It is the first to be dropped since the last report: the number of all should be reported then.
    FirstDropped { report_at: Instant },
}

impl LogBudget {
    /// At most so many lines and so many bytes in each second.
    pub(crate) fn new(lines_max: u32, bytes_max: u64) -> Self {
        Self { lines_max, bytes_max, window: None, lines: 0, bytes: 0, dropped: 0 }
    }

    /// Decides about a line of `len` bytes.
    pub(super) fn admit(&mut self, now: Instant, len: usize) -> Admitted {
        let window = match self.window {
            Some(start) if now < start + WINDOW => start,
            _ => {
                (self.window, self.lines, self.bytes) = (Some(now), 0, 0);
                now
            }
        };
        let bytes = self.bytes.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
        if self.lines < self.lines_max && bytes <= self.bytes_max {
            self.lines += 1;
            self.bytes = bytes;
            return Admitted::Yes;
        }
        self.dropped += 1;
        if self.dropped == 1 { Admitted::FirstDropped { report_at: window + WINDOW } } else { Admitted::No }
    }

    /// How many lines were dropped since this was last asked.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_are_bounded_in_each_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut budget = LogBudget::new(2, 100);
        assert_eq!(budget.admit(at(0), 40), Admitted::Yes);
        assert_eq!(budget.admit(at(10), 61), Admitted::FirstDropped { report_at: at(1000) }, "bytes");
        assert_eq!(budget.admit(at(20), 60), Admitted::Yes);
        assert_eq!(budget.admit(at(999), 0), Admitted::No, "lines");
        assert_eq!(budget.take_dropped(), 2);
        assert_eq!(budget.admit(at(1000), 100), Admitted::Yes, "a new second");
        assert_eq!(budget.admit(at(1001), 1), Admitted::FirstDropped { report_at: at(2000) });
    }
}
