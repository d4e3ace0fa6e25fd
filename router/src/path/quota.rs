//! What a namespace uses of its quotas on this node, now: calls under way, and bytes published. Separate from the
//! snapshot, which says how much it may use and is replaced whole: what is used goes on across snapshots.

use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_functions::namespace::Quotas;
use weft_runtime::{Body, BodyError};

use super::outcome::{Failure, Reason};

/// What a namespace uses on this node.
#[derive(Debug, Default)]
pub struct Usage {
    calls: AtomicU32,
    published: Mutex<Bucket>,
}

/// A place among the calls of a namespace; given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Usage>);

/// Bytes that may be published: a second's worth at most, less what was taken since.
#[derive(Debug, Default)]
struct Bucket {
    /// Below zero after an event larger than what was left: an event is never too large for the quota, only too early.
    left: f64,
    /// When that was so; `None` before the first event.
    at: Option<Instant>,
}

impl Usage {
    /// Calls under way.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Takes a place among the calls of the namespace.
    ///
    /// # Errors
    /// `LIMIT_RATE` when the quota `instances` is used up.
    pub fn enter(self: &Arc<Self>, quotas: &Quotas) -> Result<Place, Failure> {
        let one_more = |calls: u32| (calls < quotas.instances).then_some(calls + 1);
        match self.calls.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Ok(Place(self.clone())),
            Err(calls) => {
                let quota = quotas.instances;
                let log = format!("{calls} calls are under way, and the namespace's quota `instances` is {quota}");
                Err(Failure::hidden(Reason::LimitRate, log))
            }
        }
    }

    /// Takes `bytes` out of what may be published now. With 0 it only asks whether anything may.
    ///
    /// # Errors
    /// `LIMIT_RATE` when the quota `publishBytesPerSecond` is used up, with the time after which it is not.
    pub fn publish(&self, bytes: u64, quotas: &Quotas) -> Result<(), Failure> {
        let rate = quotas.publish_bytes_per_second;
        let mut bucket = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        match bucket.take(bytes, rate.bytes(), Instant::now()) {
            Ok(()) => Ok(()),
            Err(wait) => {
                let log = format!("the namespace's quota `publishBytesPerSecond` of {rate} is used up");
                Err(Failure::hidden(Reason::LimitRate, log).after(wait))
            }
        }
    }

    /// Counts bytes that are published whatever the quota says, such as copies of events that were admitted before.
    pub fn published(&self, bytes: u64, quotas: &Quotas) {
        let mut bucket = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.refill(quotas.publish_bytes_per_second.bytes(), Instant::now());
        bucket.left -= bytes as f64;
    }
}

impl Bucket {
    fn take(&mut self, bytes: u64, rate: u64, now: Instant) -> Result<(), Duration> {
        self.refill(rate, now);
        if self.left <= 0.0 {
            return Err(Duration::from_secs_f64((1.0 - self.left) / rate as f64));
        }
        self.left -= bytes as f64;
        Ok(())
    }

    fn refill(&mut self, rate: u64, now: Instant) {
        let most = rate as f64;
        self.left = match self.at.replace(now) {
            Some(at) => (self.left + now.saturating_duration_since(at).as_secs_f64() * most).min(most),
            None => most,
        };
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps the place until the answer's body ends, as long as which an instance is busy.
pub fn hold(place: Option<Place>, response: http::Response<Body>) -> http::Response<Body> {
    match place {
        Some(place) => response.map(|body| Held { body, place: Some(place) }.boxed_unsync()),
        None => response,
    }
}

struct Held {
    body: Body,
    place: Option<Place>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.place = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use weft_functions::value::Size;
    use weft_runtime::full;

    use super::*;

    fn quotas(instances: u32, rate: u64) -> Quotas {
        Quotas { instances, publish_bytes_per_second: Size::from_bytes(rate), ..Quotas::default() }
    }

    #[tokio::test]
    async fn a_place_is_kept_until_the_answer_ends() {
        let usage = Arc::new(Usage::default());
        let quotas = quotas(2, 1024);
        let first = usage.enter(&quotas).expect("a place");
        let second = usage.enter(&quotas).expect("a place");
        let refused = usage.enter(&quotas).expect_err("no place");
        assert_eq!((refused.reason, usage.calls()), (Reason::LimitRate, 2));
        drop(first);
        let answer = hold(Some(second), http::Response::new(full("abc")));
        assert_eq!(usage.calls(), 1);
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!((body.as_ref(), usage.calls()), (&b"abc"[..], 0));
        let dropped = hold(Some(usage.enter(&quotas).expect("a place")), http::Response::new(full("abc")));
        drop(dropped);
        assert_eq!(usage.calls(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_come_back_with_time() {
        let usage = Usage::default();
        let quotas = quotas(0, 1_000);
        let publish = |bytes: u64| usage.publish(bytes, &quotas).map_err(|failure| failure.after);
        let seconds = |seconds: f64| Duration::from_secs_f64(seconds);
        assert_eq!(publish(400), Ok(()));
        // More than is left: it is taken all the same, and the next ones wait.
        assert_eq!(publish(2_600), Ok(()));
        assert_eq!(publish(0), Err(Some(seconds(2.001))));
        tokio::time::advance(seconds(1.0)).await;
        assert_eq!(publish(1), Err(Some(seconds(1.001))));
        tokio::time::advance(seconds(1.5)).await;
        assert_eq!(publish(0), Ok(()));
        usage.published(600, &quotas);
        assert_eq!(publish(1), Err(Some(seconds(0.101))));
        // Never more than a second's worth.
        tokio::time::advance(seconds(3_600.0)).await;
        assert_eq!(publish(1_000), Ok(()));
        assert_eq!(publish(1), Err(Some(seconds(0.001))));
    }
}
