//! What a guest's run costs in processor time, and on which threads it runs. The engine's epoch makes a guest yield at
//! least once in a tick, so counting the time of each poll counts the guest. Separate, because it knows no wasm.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

use crate::{engine::Engine, limits::HEAVY_AFTER};

/// The work used up its processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfCpu;

/// Runs work until it used `budget` of processor time, and says when it becomes heavy.
///
/// The thread's own clock is a system call, twice for each poll, and most work is done long before anything depends on what
/// it reads. So the beginning is timed by the clock on the wall, which costs next to nothing and never shows less.
pub(crate) struct Meter<'a, F> {
    work: Pin<&'a mut F>,
    clock: ClockId,
    used: Duration,
    budget: Duration,
    heavy: &'a AtomicBool,
}

impl<'a, F> Meter<'a, F> {
    /// `heavy` is set after [`HEAVY_AFTER`].
    pub(crate) fn new(work: Pin<&'a mut F>, budget: Duration, heavy: &'a AtomicBool) -> Self {
        Self { work, clock: ClockId::Monotonic, used: Duration::ZERO, budget, heavy }
    }
}

impl<F: Future> Future for Meter<'_, F> {
    type Output = Result<F::Output, OutOfCpu>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let clock = self.clock;
        let before = time(clock);
        let result = self.work.as_mut().poll(cx);
        self.used += time(clock).saturating_sub(before);
        let begun = self.budget.min(HEAVY_AFTER);
        if clock == ClockId::Monotonic && self.used > begun {
            // What else the machine did in that time is not the work's.
            (self.clock, self.used) = (ClockId::ThreadCPUTime, begun);
        }
        match result {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending if self.used > self.budget => Poll::Ready(Err(OutOfCpu)),
            Poll::Pending => {
                if self.used > HEAVY_AFTER {
                    self.heavy.store(true, Ordering::Relaxed);
                }
                Poll::Pending
            }
        }
    }
}

/// What a clock shows.
fn time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Work that begins on the threads that serve requests, and goes on elsewhere when it turns out heavy.
pub(crate) struct Lane {
    work: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    heavy: Arc<AtomicBool>,
    engine: Arc<Engine>,
}

impl Lane {
    /// `heavy` is what the work's [`Meter`] sets.
    pub(crate) fn new(
        work: impl Future<Output = ()> + Send + 'static,
        heavy: Arc<AtomicBool>,
        engine: Arc<Engine>,
    ) -> Self {
        Self { work: Some(Box::pin(work)), heavy, engine }
    }
}

impl Future for Lane {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        if work.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !self.heavy.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        if let Some(work) = self.work.take() {
            self.engine.go_on(work);
        }
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    /// Uses processor time, and yields after each bit of it.
    async fn burn(total: Duration) {
        let thread_time = || time(ClockId::ThreadCPUTime);
        let start = thread_time();
        while thread_time().saturating_sub(start) < total {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn processor_time_is_counted_and_waiting_is_not() {
        let heavy = AtomicBool::new(false);
        let work = pin!(burn(Duration::from_secs(3600)));
        assert_eq!(Meter::new(work, Duration::from_millis(30), &heavy).await, Err(OutOfCpu));
        assert!(heavy.load(Ordering::Relaxed));

        let heavy = AtomicBool::new(false);
        let work = pin!(tokio::time::sleep(Duration::from_millis(60)));
        assert_eq!(Meter::new(work, Duration::from_millis(30), &heavy).await, Ok(()));
        assert!(!heavy.load(Ordering::Relaxed));
    }
}
