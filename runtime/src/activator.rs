//! From zero and back: holds the compiled code of one revision while somebody needs it. However many calls wait, one
//! of them starts the load; when the last has ended and nobody came for a while, the code goes. What "code" is, it
//! does not know, so that it is tested without an engine.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until},
};

use crate::scale::{Decision, Usage, decide};

/// Where the code comes from, and who hears of the way up and down.
pub(crate) trait Source: Send + Sync + 'static {
    /// What is loaded.
    type Code: Send + Sync + 'static;
    /// Loads it; runs on a thread that may block. The error is for people.
    fn load(&self) -> Result<Self::Code, String>;
    /// The number of instances went from zero to one, or back.
    fn scaled(&self, from: u32, to: u32, why: &str);
}

/// Keeps the code of one revision, or not.
pub(crate) struct Activator<S: Source> {
    source: S,
    min: u32,
    idle: Duration,
    state: Mutex<State<S::Code>>,
    /// Told when usage changes in a way the decision depends on.
    changed: Arc<Notify>,
}

struct State<C> {
    code: Code<C>,
    usage: Usage,
    loads: u64,
}

/// Has the result of a change when it has ended.
type Change = watch::Receiver<Option<Result<(), String>>>;

enum Code<C> {
    Zero,
    /// It is being loaded or unloaded. The observer is told while it is so: it hears of changes in their order, and
    /// no lock is held meanwhile.
    Changing(Change),
    Loaded(Arc<C>),
}

/// The revision takes no new calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retired;

/// A call that was let in. As long as it lives, the code stays if it is there, also when the revision is retired.
pub(crate) struct Admission<S: Source>(Arc<Activator<S>>);

impl<S: Source> Admission<S> {
    /// The code if it is there without a load.
    pub(crate) fn code_if_loaded(&self) -> Option<Arc<S::Code>> {
        match &self.0.state().code {
            Code::Loaded(code) => Some(code.clone()),
            _ => None,
        }
    }

    /// The code, after loading it if it is at zero. The second value is how long the load took, for the one call that
    /// caused it. The load goes on when the caller gives up.
    pub(crate) async fn code(&self) -> Result<(Arc<S::Code>, Option<Duration>), String> {
        let mut started = None;
        loop {
            let mut change = match self.0.code_or_load(&mut started) {
                Ok(code) => return Ok((code, started.map(|start: Instant| start.elapsed()))),
                Err(change) => change,
            };
            let result = change.wait_for(Option::is_some).await.map(|result| result.clone());
            match result {
                Ok(Some(Err(error))) => return Err(error),
                Ok(_) => {}
                Err(_gone) => return Err("the load was given up".to_owned()),
            }
        }
    }
}

impl<S: Source> Drop for Admission<S> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.usage.in_flight -= 1;
        state.usage.last_used = Instant::now();
        let last = state.usage.in_flight == 0;
        drop(state);
        if last {
            self.0.changed.notify_one();
        }
    }
}

impl<S: Source> Activator<S> {
    /// At zero, for a function with this `min` and `idle`.
    pub(crate) fn new(source: S, min: u32, idle: Duration) -> Arc<Self> {
        let usage = Usage { in_flight: 0, last_used: Instant::now(), retired: false };
        let state = Mutex::new(State { code: Code::Zero, usage, loads: 0 });
        Arc::new(Self { source, min, idle, state, changed: Arc::new(Notify::new()) })
    }

    /// Whether the code is loaded, and how often a call had it loaded.
    pub(crate) fn loads(&self) -> (bool, u64) {
        let state = self.state();
        (matches!(state.code, Code::Loaded(_)), state.loads)
    }

    /// Lets a call in.
    pub(crate) fn admit(self: &Arc<Self>) -> Result<Admission<S>, Retired> {
        let mut state = self.state();
        if state.usage.retired {
            return Err(Retired);
        }
        state.usage.in_flight += 1;
        Ok(Admission(self.clone()))
    }

    /// Puts code there that was loaded otherwise; for an activator that nobody uses yet.
    pub(crate) fn put(self: &Arc<Self>, code: S::Code, why: &str) {
        self.source.scaled(0, 1, why);
        self.loaded(&mut self.state(), code);
    }

    /// Takes no new calls; the code goes when the last one ends.
    pub(crate) fn retire(&self) {
        self.state().usage.retired = true;
        self.changed.notify_one();
    }

    /// The code, or what to wait for. `started` is set if this call begins the load.
    fn code_or_load(self: &Arc<Self>, started: &mut Option<Instant>) -> Result<Arc<S::Code>, Change> {
        let mut state = self.state();
        match &state.code {
            Code::Loaded(code) => Ok(code.clone()),
            Code::Changing(result) => Err(result.clone()),
            Code::Zero => {
                let (done, result) = watch::channel(None);
                state.code = Code::Changing(result.clone());
                drop(state);
                *started = Some(Instant::now());
                self.start_load(done);
                Err(result)
            }
        }
    }

    fn start_load(self: &Arc<Self>, done: watch::Sender<Option<Result<(), String>>>) {
        let this = self.clone();
        tokio::spawn(async move {
            let loader = this.clone();
            let result = tokio::task::spawn_blocking(move || loader.source.load()).await;
            let result = result.unwrap_or_else(|_| Err("loading panicked".to_owned()));
            let result = match result {
                Ok(code) => {
                    this.source.scaled(0, 1, "a call came");
                    let mut state = this.state();
                    state.loads += 1;
                    this.loaded(&mut state, code);
                    Ok(())
                }
                Err(error) => {
                    this.state().code = Code::Zero;
                    Err(error)
                }
            };
            done.send_replace(Some(result));
        });
    }

    fn loaded(self: &Arc<Self>, state: &mut State<S::Code>, code: S::Code) {
        state.code = Code::Loaded(Arc::new(code));
        state.usage.last_used = Instant::now();
        tokio::spawn(unload_when_idle(Arc::downgrade(self), self.changed.clone()));
    }

    /// Decides, and unloads if that is the decision.
    fn consider(&self) -> Decision {
        let mut state = self.state();
        let decision = decide(Instant::now(), state.usage, self.min, self.idle);
        if let Decision::Unload(why) = decision {
            let (done, change) = watch::channel(None);
            let code = std::mem::replace(&mut state.code, Code::Changing(change));
            drop(state);
            drop(code);
            self.source.scaled(1, 0, why);
            self.state().code = Code::Zero;
            done.send_replace(Some(Ok(())));
        }
        decision
    }

    fn state(&self) -> MutexGuard<'_, State<S::Code>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Source> Drop for Activator<S> {
    fn drop(&mut self) {
        self.changed.notify_one();
        if matches!(self.state().code, Code::Loaded(_)) {
            self.source.scaled(1, 0, "the revision was dropped");
        }
    }
}

/// Runs for as long as the code is loaded, and unloads it. One for each load.
async fn unload_when_idle<S: Source>(owner: Weak<Activator<S>>, changed: Arc<Notify>) {
    loop {
        let decision = match owner.upgrade() {
            Some(owner) => owner.consider(),
            None => return,
        };
        match decision {
            Decision::Unload(_) => return,
            Decision::Keep => changed.notified().await,
            Decision::KeepUntil(end) => {
                tokio::select! {
                    () = changed.notified() => {}
                    () = sleep_until(end) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
