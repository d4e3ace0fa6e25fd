//! The calls that are going on. When policy changes, or a certificate is revoked, each is judged again, and cut off if
//! it is no longer permitted: its guest is dropped, its body breaks off, and its record says why. Separate from the
//! record, which says how a call ended; this says which calls have not.
//!
//! A call enters when it is permitted and leaves when its body ends. Whoever lets it in looks at the snapshot in force
//! after that once more, so that no call slips through between its judgement and the sweep of a swap.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{HeaderMap, Method, Uri};
use http_body::{Body as _, Frame, SizeHint};
use slab::Slab;
use weft_functions::event::Event;
use weft_functions::manifest::Kind;
use weft_functions::policy::{RuleField, Verb};
use weft_runtime::{Body, BodyError, BodyErrorKind, empty};

use super::call::{Call, Cause, Target};
use super::caller::Caller;
use super::outcome::Failure;
use super::policy::{Attributes, Head, Question};
use super::record::Judged;

/// Parts of the registry, each with a lock of its own: threads that begin and end calls rarely meet.
const SHARDS: usize = 16;

/// Calls that are judged before other tasks get their turn: some tens of microseconds.
const JUDGED_AT_ONCE: usize = 64;

/// All calls that are going on.
#[derive(Default)]
pub struct OpenCalls {
    shards: [Mutex<Slab<Arc<OpenCall>>>; SHARDS],
}

/// One call: what was asked, and the way to cut it off.
pub struct OpenCall {
    /// What was asked.
    pub asked: Asked,
    cut: OnceLock<Cut>,
    /// Who waits for the call's head, and then for its body.
    waker: AtomicWaker,
    /// The response's body, once there is one: here, so that it can be dropped although nobody reads it.
    body: Mutex<Body>,
}

/// Why a call is cut off.
#[derive(Debug, Clone)]
pub struct Cut {
    /// What it ends with.
    pub failure: Failure,
    /// By which judgement, if it was judged again.
    pub judged: Option<Judged>,
}

/// What policy reads of a call, kept for as long as it goes on.
#[derive(Debug)]
pub struct Asked {
    /// What the caller wants to do.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// Who asks.
    pub caller: Caller,
    /// The request's method.
    pub method: Method,
    /// The canonical address.
    pub uri: Uri,
    /// The request's headers, where rules may look at them.
    pub headers: HeaderMap,
    /// The event, once it is known and if it is one.
    pub event: Option<Event>,
    /// The delivery in which it happens.
    pub cause: Option<Arc<Cause>>,
}

impl Asked {
    /// Whether it is (part of) the delivery of an event, and not something that happens in one.
    pub fn delivers(&self) -> bool {
        match &self.target {
            Target::Outside(outside) => outside.owner_kind == Kind::Trigger,
            _ => matches!(self.verb, Verb::Consume | Verb::Deliver),
        }
    }

    /// The question, to be judged again. About a batch it is the question before its events are known.
    pub fn question(&self) -> Question<'_> {
        let head = Head {
            host: self.uri.host().unwrap_or_default(),
            method: self.method.as_str(),
            path: self.uri.path(),
            headers: &self.headers,
        };
        Question {
            verb: self.verb,
            target: &self.target,
            caller: &self.caller,
            head: Some(head),
            event: self.event.as_ref().map(Attributes::Of),
            trigger: self.cause.as_deref().map(Cause::trigger),
            copy: self.cause.as_deref().is_some_and(Cause::is_copy),
            known: None,
        }
    }
}

impl From<&Call> for Asked {
    fn from(call: &Call) -> Self {
        let request = &call.request;
        Self {
            verb: call.verb,
            target: call.target.clone(),
            caller: call.caller.clone(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: if call.verb.has(RuleField::Headers) { request.headers().clone() } else { HeaderMap::new() },
            event: None,
            cause: call.cause.clone(),
        }
    }
}

/// A call's place in the registry; it leaves when this is dropped.
pub struct Place {
    calls: Arc<OpenCalls>,
    shard: usize,
    key: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.calls.shard(self.shard).try_remove(self.key);
        // Dropped when the lock is free again: it may be the last to hold a body.
        drop(left);
    }
}

impl OpenCalls {
    /// Lets a permitted call in. `spread` is any number that differs from call to call.
    pub fn enter(self: &Arc<Self>, call: &Arc<OpenCall>, spread: u64) -> Place {
        let shard = (spread % SHARDS as u64) as usize;
        let key = self.shard(shard).insert(call.clone());
        Place { calls: self.clone(), shard, key }
    }

    /// How many calls are going on.
    pub fn len(&self) -> usize {
        (0..SHARDS).map(|shard| self.shard(shard).len()).sum()
    }

    /// Whether no call is going on.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at every call that is going on, and cuts off those for which `refused` gives a reason. Answers how many
    /// those were.
    pub async fn sweep(&self, refused: impl Fn(&Asked) -> Option<Cut>) -> usize {
        let mut cut = 0;
        for shard in 0..SHARDS {
            let calls: Vec<Arc<OpenCall>> = self.shard(shard).iter().map(|(_, call)| call.clone()).collect();
            for some in calls.chunks(JUDGED_AT_ONCE) {
                for call in some {
                    cut += usize::from(refused(&call.asked).is_some_and(|cut| call.cut(cut)));
                }
                tokio::task::yield_now().await;
            }
        }
        cut
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Slab<Arc<OpenCall>>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenCall {
    /// A call that begins.
    pub fn new(asked: Asked) -> Arc<Self> {
        let (cut, waker) = (OnceLock::new(), AtomicWaker::new());
        Arc::new(Self { asked, cut, waker, body: Mutex::new(empty()) })
    }

    /// Takes in what became known of the call since it began.
    pub(super) fn learn(&mut self, call: &Call) {
        if let Some([event]) = call.events.as_deref() {
            self.asked.event = Some(event.clone());
        }
    }

    /// Cuts the call off: what works on its answer is dropped. `false` when it was cut off before.
    pub fn cut(&self, cut: Cut) -> bool {
        if self.cut.set(cut).is_err() {
            return false;
        }
        self.close();
        self.waker.wake();
        true
    }

    /// Why the call was cut off, if it was.
    pub fn why_cut(&self) -> Option<&Cut> {
        self.cut.get()
    }

    /// Works until the call is cut off; the work is dropped then.
    pub async fn until_cut<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut work = pin!(work);
        poll_fn(|context| {
            // Registered before it is looked at, so that a cut in between wakes us.
            self.waker.register(context.waker());
            match self.why_cut() {
                Some(cut) => Poll::Ready(Err(cut.failure.clone())),
                None => work.as_mut().poll(context),
            }
        })
        .await
    }

    /// Takes the body of the answer over; a call that was cut off meanwhile drops it.
    pub(super) fn answer(&self, body: Body) {
        let mut place = self.body();
        if self.why_cut().is_none() {
            *place = body;
        }
    }

    /// Drops the body, and with it the guest that still writes it.
    pub(super) fn close(&self) {
        let dropped = std::mem::replace(&mut *self.body(), empty());
        // The lock is free again: whatever hangs on the body may take its time.
        drop(dropped);
    }

    pub(super) fn poll_frame(&self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.waker.register(context.waker());
        if self.why_cut().is_some() {
            let message = "the call is not permitted any more";
            return Poll::Ready(Some(Err(BodyError::new(BodyErrorKind::Aborted, message))));
        }
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.why_cut().is_none() && self.body().is_end_stream()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
