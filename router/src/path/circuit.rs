//! Whether a trigger's target takes events at present. A target that cannot be reached is left alone for a while instead
//! of being asked event by event: the circuit opens, and after a wait one attempt tries whether it is back. It stands below
//! delivery because operators ask about it; how long to wait is delivery's to say.
//!
//! ```text
//! closed ── unavailable, or 20 different events failing in a row ──► open ── the wait is over ──► half open
//!    ▲                                                                 ▲                              │ one attempt
//!    └──────────────────────── an answer ──────────────────────────────┼──────────────────────────────┤
//!                                                                      └─────── the same again ───────┘
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use weft_eventlog::Sequence;

/// Different events in a row whose attempts fail before the circuit opens, though the target answers.
pub const FAILURES_MAX: usize = 20;

/// Why a circuit is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The target could not be reached, did not answer in time, or said that it has no room.
    Unavailable,
    /// The target answers, and fails whatever it is given.
    Failing,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 2] = [Self::Unavailable, Self::Failing];

    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Failing => "failing",
        }
    }
}

/// How a circuit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Events are delivered.
    Closed,
    /// None is delivered until then.
    Open {
        /// Why.
        cause: Cause,
        /// When one attempt is made.
        until: Instant,
    },
    /// One attempt is, or is about to be, under way.
    HalfOpen,
}

/// What an attempt found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The target answered as one that works, whether it took the event or not.
    Answered,
    /// The target failed on this event.
    Failed(Sequence),
    /// The target was not there for any event.
    Unavailable,
    /// The attempt says nothing about the target.
    Nothing,
}

/// The circuit of one trigger. It begins closed.
#[derive(Debug, Default)]
pub struct Circuit {
    inner: Mutex<Inner>,
    changed: Notify,
    opened: [AtomicU64; Cause::ALL.len()],
}

#[derive(Debug, Default)]
struct Inner {
    phase: Phase,
    /// Grows with each opening and closing: what an attempt found counts only in the state in which it began.
    epoch: u64,
    /// Openings in a row.
    openings: u32,
    /// Different events that failed in a row.
    failing: Vec<Sequence>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Closed,
    Open {
        cause: Cause,
        until: Instant,
    },
    /// The wait is over, and an attempt is being made.
    Probing {
        cause: Cause,
    },
}

/// Leave to make one attempt in the present state of a circuit. One that is dropped has found nothing.
#[derive(Debug)]
pub struct Pass {
    circuit: Arc<Circuit>,
    epoch: u64,
    /// Whether it is the one attempt of a half-open circuit.
    probe: bool,
}

impl Pass {
    /// Says what the attempt found. `wait` says how long the circuit stays open when it opens for the n-th time in a row,
    /// counted from 1.
    pub fn report(self, finding: Finding, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        self.circuit.learn(self.epoch, finding, now, wait);
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        // After a report of its own this changes nothing: the attempt of a half-open circuit has left that state.
        if self.probe {
            self.circuit.learn(self.epoch, Finding::Nothing, Instant::now(), |_| Duration::ZERO);
        }
    }
}

impl Circuit {
    /// Leave to make an attempt, or when to ask again: `None` while an attempt is being made whose outcome will tell.
    ///
    /// # Errors
    /// No attempt is to be made now.
    pub fn enter(self: &Arc<Self>, now: Instant) -> Result<Pass, Option<Instant>> {
        let mut inner = self.inner();
        let probe = inner.may_enter(now)?;
        if let (true, Phase::Open { cause, .. }) = (probe, inner.phase) {
            inner.phase = Phase::Probing { cause };
        }
        Ok(self.pass(inner.epoch, probe))
    }

    /// Whether there would be leave for one attempt only.
    ///
    /// # Errors
    /// As [`Self::enter`]
    pub fn look(&self, now: Instant) -> Result<bool, Option<Instant>> {
        self.inner().may_enter(now)
    }

    fn pass(self: &Arc<Self>, epoch: u64, probe: bool) -> Pass {
        Pass { circuit: self.clone(), epoch, probe }
    }

    fn learn(&self, epoch: u64, finding: Finding, now: Instant, wait: impl FnOnce(u32) -> Duration) {
        let mut inner = self.inner();
        if epoch != inner.epoch {
            return;
        }
        let cause = match (inner.phase, finding) {
            (_, Finding::Answered) => {
                inner.close();
                None
            }
            (_, Finding::Unavailable) => Some(Cause::Unavailable),
            (Phase::Probing { cause: Cause::Failing }, Finding::Failed(_)) => Some(Cause::Failing),
            (_, Finding::Failed(sequence)) => {
                if inner.phase != Phase::Closed {
                    inner.close();
                }
                inner.fails(sequence).then_some(Cause::Failing)
            }
            (Phase::Probing { cause }, Finding::Nothing) => {
                inner.phase = Phase::Open { cause, until: now };
                None
            }
            (Phase::Closed | Phase::Open { .. }, Finding::Nothing) => None,
        };
        if let Some(cause) = cause {
            inner.openings += 1;
            inner.epoch += 1;
            inner.failing.clear();
            let until = now + wait(inner.openings);
            inner.phase = Phase::Open { cause, until };
            self.opened[cause as usize].fetch_add(1, Ordering::Relaxed);
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Ends the wait: the target is another now.
    pub fn half_open(&self, now: Instant) {
        let mut inner = self.inner();
        if let Phase::Open { cause, .. } = inner.phase {
            inner.phase = Phase::Open { cause, until: now };
            inner.openings = 0;
        }
        drop(inner);
        self.changed.notify_waiters();
    }

    /// Resolves when the circuit's state may have changed after this was called.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// How it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.inner().phase {
            Phase::Closed => Standing::Closed,
            Phase::Open { cause, until } if now < until => Standing::Open { cause, until },
            Phase::Open { .. } | Phase::Probing { .. } => Standing::HalfOpen,
        }
    }

    /// How often it opened, for this cause.
    pub fn opened(&self, cause: Cause) -> u64 {
        self.opened[cause as usize].load(Ordering::Relaxed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether an attempt that may be made is the only one.
    fn may_enter(&self, now: Instant) -> Result<bool, Option<Instant>> {
        match self.phase {
            Phase::Closed => Ok(false),
            Phase::Open { until, .. } if now < until => Err(Some(until)),
            Phase::Open { .. } => Ok(true),
            Phase::Probing { .. } => Err(None),
        }
    }

    fn close(&mut self) {
        self.epoch += u64::from(self.phase != Phase::Closed);
        self.phase = Phase::Closed;
        self.openings = 0;
        self.failing.clear();
    }

    /// Notes that an event failed. Whether too many did.
    fn fails(&mut self, sequence: Sequence) -> bool {
        if !self.failing.contains(&sequence) {
            self.failing.push(sequence);
        }
        self.failing.len() >= FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wait(openings: u32) -> Duration {
        SECOND * openings
    }

    fn failed(sequence: u64) -> Finding {
        Finding::Failed(Sequence::new(sequence))
    }

    struct Run {
        circuit: Arc<Circuit>,
        now: Instant,
    }

    impl Run {
        fn new() -> Self {
            Self { circuit: Arc::default(), now: Instant::now() }
        }

        /// Makes an attempt that finds this; whether one may be made.
        fn attempt(&self, finding: Finding) -> bool {
            let Ok(pass) = self.circuit.enter(self.now) else { return false };
            pass.report(finding, self.now, wait);
            true
        }

        fn open_for(&self) -> Option<(Cause, Duration)> {
            match self.circuit.standing(self.now) {
                Standing::Open { cause, until } => Some((cause, until - self.now)),
                Standing::Closed | Standing::HalfOpen => None,
            }
        }
    }

    #[test]
    fn a_target_that_is_not_there_is_asked_seldom_and_by_one_attempt() {
        let mut run = Run::new();
        for openings in 1..=3 {
            assert!(run.attempt(Finding::Unavailable));
            assert_eq!(run.open_for(), Some((Cause::Unavailable, SECOND * openings)));
            assert!(!run.attempt(Finding::Answered), "open");
            run.now += SECOND * openings;
            assert_eq!(run.circuit.standing(run.now), Standing::HalfOpen);
        }
        assert_eq!(run.circuit.look(run.now), Ok(true));
        let probe = run.circuit.enter(run.now).expect("one attempt");
        assert_eq!(run.circuit.enter(run.now).err(), Some(None), "and no other");
        probe.report(Finding::Answered, run.now, wait);
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
        assert!(run.attempt(Finding::Unavailable));
        assert_eq!(run.open_for(), Some((Cause::Unavailable, SECOND)), "it begins anew");
        assert_eq!(run.circuit.opened(Cause::Unavailable), 4);
    }

    #[test]
    fn attempts_that_began_before_say_nothing_about_after() {
        let mut run = Run::new();
        let mut passes: Vec<_> = (0..4).map(|_| run.circuit.enter(run.now).expect("closed")).collect();
        let mut report = |run: &Run, finding| passes.pop().expect("one more").report(finding, run.now, wait);
        report(&run, Finding::Unavailable);
        report(&run, Finding::Unavailable);
        assert_eq!(run.open_for(), Some((Cause::Unavailable, SECOND)), "it opened once");
        report(&run, Finding::Answered);
        assert!(run.open_for().is_some(), "the answer came before");
        run.now += SECOND;
        assert!(run.attempt(Finding::Answered));
        report(&run, Finding::Unavailable);
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
    }

    #[test]
    fn different_events_that_fail_in_a_row_open_it() {
        let mut run = Run::new();
        let most = FAILURES_MAX as u64;
        (1..most).for_each(|sequence| assert!(run.attempt(failed(sequence))));
        assert!(run.attempt(failed(1)), "one that failed before is no other");
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
        assert!(run.attempt(Finding::Answered));
        (1..=most).for_each(|sequence| assert!(run.attempt(failed(sequence)), "{sequence}: the row was broken"));
        assert_eq!(run.open_for(), Some((Cause::Failing, SECOND)));
        run.now += SECOND;
        assert!(run.attempt(failed(1)));
        assert_eq!(run.open_for(), Some((Cause::Failing, SECOND * 2)), "the one attempt failed too");
        run.now += SECOND * 2;
        assert!(run.attempt(Finding::Answered));
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
    }

    #[test]
    fn a_failure_is_an_answer_of_one_that_was_not_there() {
        let mut run = Run::new();
        run.attempt(Finding::Unavailable);
        run.now += SECOND;
        assert!(run.attempt(failed(1)));
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
    }

    #[test]
    fn an_attempt_that_finds_nothing_leaves_the_try_to_another() {
        let mut run = Run::new();
        run.attempt(Finding::Unavailable);
        run.now += SECOND;
        assert!(run.attempt(Finding::Nothing));
        drop(run.circuit.enter(run.now).expect("the try of one that is given up"));
        assert_eq!(run.circuit.standing(run.now), Standing::HalfOpen);
        assert!(run.attempt(Finding::Answered));
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
    }

    #[test]
    fn another_target_is_tried_at_once() {
        let run = Run::new();
        run.circuit.half_open(run.now);
        assert_eq!(run.circuit.standing(run.now), Standing::Closed);
        run.attempt(Finding::Unavailable);
        run.circuit.half_open(run.now);
        assert_eq!(run.circuit.look(run.now), Ok(true), "at once");
    }
}
