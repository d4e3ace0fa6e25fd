//! The keys of an issuer that publishes them at an address: when they are fetched, how long they count, and who waits.
//! Fetching itself is a trait, so that all of this runs in tests with a clock that stands still.
//!
//! Keys are fetched when somebody shows a token, never by a timer: an Issuer that nobody uses costs nothing. One fetch is
//! under way at a time and everybody who needs it waits for that one; it runs on its own, so that no caller who leaves can
//! cut it off for the others.
//!
//! An unknown key id leads to one fetch in half a minute, whoever asks and for whatever id. That is also all the memory
//! of unknown ids there is: after a fetch, every id that is not in the set is known not to be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::Instant;
use weft_functions::issuer::Algorithm;

use super::keys::{Key, KeySet};

/// How long a fetch may take, from the name's lookup to the last byte (`threats.md` D-05).
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);

/// When keys are fetched again, unless their server says otherwise (`Cache-Control: max-age`), within limits. The upper one
/// leaves half an hour for fetches that fail before the keys are too old.
const REFRESH: Duration = Duration::from_secs(5 * 60);
const REFRESH_MIN: Duration = Duration::from_secs(60);
const REFRESH_MAX: Duration = Duration::from_secs(30 * 60);

/// How long keys count after they were fetched, while their server cannot be reached (`threats.md` D-05).
const STALE_MAX: Duration = Duration::from_secs(60 * 60);

/// Time between fetches for unknown key ids (`threats.md` D-06).
const UNKNOWN_PAUSE: Duration = Duration::from_secs(30);

/// Time before a fetch that failed is made again; doubled with each failure, up to the last.
const RETRY_MIN: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Gets the document at an address.
pub(super) trait Fetch: Send + Sync + 'static {
    /// The document, or a sentence about why there is none. Never longer than 256 KiB, never from where the address
    /// redirects to.
    fn fetch(&self) -> BoxFuture<'static, Result<Document, String>>;
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) body: Bytes,
    /// `max-age` of its `Cache-Control`.
    pub(super) max_age: Option<Duration>,
}

/// Keys at an address.
pub(super) struct Remote {
    /// The Issuer's name, for the log.
    name: String,
    source: Box<dyn Fetch>,
    algorithms: Vec<Algorithm>,
    fetched: ArcSwapOption<Fetched>,
    pace: Mutex<Pace>,
    /// How many fetches have ended.
    ended: watch::Sender<u64>,
}

struct Fetched {
    keys: KeySet,
    at: Instant,
    refresh: Duration,
}

#[derive(Debug, Default)]
struct Pace {
    under_way: bool,
    /// Fetches that failed since the last good one.
    failures: u32,
    /// No fetch before this, after a failure.
    not_before: Option<Instant>,
    /// The last fetch for an unknown key id.
    unknown: Option<Instant>,
}

/// What is known of a key.
pub(super) enum Lookup {
    /// It is in the set.
    Found(Arc<Key>),
    /// The set does not have it.
    Unknown,
    /// There is no set that counts, or nobody could look whether it has the key by now.
    Unavailable,
    /// A fetch is under way that may bring it.
    Wait(Waiter),
}

/// Whether looking for a key may lead to a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    Fetch,
    NotFetch,
}

/// Waits for a fetch.
pub(super) struct Waiter(watch::Receiver<u64>);

impl Waiter {
    /// Until the fetch has ended, well or not.
    pub(super) async fn ended(mut self) {
        // An error would mean that the keys are gone, with everybody who could want them.
        let _ = self.0.changed().await;
    }
}

/// Why keys are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// There are none that count.
    None,
    /// It is time.
    Due,
    /// A token names one that is not there.
    Unknown,
}

impl Remote {
    pub(super) fn new(name: String, source: Box<dyn Fetch>, algorithms: Vec<Algorithm>) -> Arc<Self> {
        Arc::new(Self {
            name,
            source,
            algorithms,
            fetched: ArcSwapOption::empty(),
            pace: Mutex::default(),
            ended: watch::Sender::new(0),
        })
    }

    /// The key that a token names.
    pub(super) fn find(self: &Arc<Self>, kid: Option<&str>, may: May) -> Lookup {
        let fetch = |why| if may == May::Fetch { self.begin(why) } else { None };
        let fetched = self.fetched.load();
        let Some(fetched) = fetched.as_ref().filter(|fetched| fetched.at.elapsed() <= STALE_MAX) else {
            return fetch(Why::None).map_or(Lookup::Unavailable, Lookup::Wait);
        };
        if let Some(key) = fetched.keys.find(kid) {
            self.refresh_if_due(fetched);
            return Lookup::Found(key.clone());
        }
        match fetch(Why::Unknown) {
            Some(waiter) => Lookup::Wait(waiter),
            None if self.pace().failures > 0 => Lookup::Unavailable,
            None => Lookup::Unknown,
        }
    }

    /// Whether its keys count, so that what they verified before counts. Keeps them fresh.
    pub(super) fn counts(self: &Arc<Self>) -> bool {
        let fetched = self.fetched.load();
        let Some(fetched) = fetched.as_ref().filter(|fetched| fetched.at.elapsed() <= STALE_MAX) else { return false };
        self.refresh_if_due(fetched);
        true
    }

    fn refresh_if_due(self: &Arc<Self>, fetched: &Fetched) {
        if fetched.at.elapsed() >= fetched.refresh {
            self.begin(Why::Due);
        }
    }

    /// Begins a fetch, or joins the one under way. Nothing if it is too early for one.
    fn begin(self: &Arc<Self>, why: Why) -> Option<Waiter> {
        let mut pace = self.pace();
        let waiter = Waiter(self.ended.subscribe());
        if pace.under_way {
            return Some(waiter);
        }
        let now = Instant::now();
        if pace.not_before.is_some_and(|not_before| now < not_before) {
            return None;
        }
        if why == Why::Unknown {
            if pace.unknown.is_some_and(|last| now < last + UNKNOWN_PAUSE) {
                return None;
            }
            pace.unknown = Some(now);
        }
        pace.under_way = true;
        drop(pace);
        tracing::debug!(issuer = %self.name, ?why, "fetching keys");
        tokio::spawn(Flight(self.clone()).run());
        Some(waiter)
    }

    fn keep(&self, document: &Document) -> Result<(), String> {
        let mut keys = KeySet::parse(&document.body, &self.algorithms)?;
        for why in &keys.left_out {
            tracing::debug!(issuer = %self.name, key = %why, "a key is left out");
        }
        if let Some(before) = self.fetched.load().as_ref() {
            keys.succeed(&before.keys);
        }
        tracing::debug!(issuer = %self.name, usable = keys.len(), "keys were fetched");
        let refresh = document.max_age.unwrap_or(REFRESH).clamp(REFRESH_MIN, REFRESH_MAX);
        self.fetched.store(Some(Arc::new(Fetched { keys, at: Instant::now(), refresh })));
        Ok(())
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. Whatever becomes of it, it ends, and those who wait for it learn that.
struct Flight(Arc<Remote>);

impl Flight {
    async fn run(self) {
        let remote = &self.0;
        let fetched = match tokio::time::timeout(FETCH_TIMEOUT, remote.source.fetch()).await {
            Ok(document) => document.and_then(|document| remote.keep(&document)),
            Err(_) => Err(format!("no whole answer within {} s", FETCH_TIMEOUT.as_secs())),
        };
        let mut pace = remote.pace();
        let Err(error) = fetched else {
            (pace.failures, pace.not_before) = (0, None);
            return;
        };
        let retry = RETRY_MAX.min(RETRY_MIN * 2_u32.saturating_pow(pace.failures.min(8)));
        pace.failures = pace.failures.saturating_add(1);
        pace.not_before = Some(Instant::now() + retry);
        tracing::warn!(issuer = %remote.name, %error, retry_in = ?retry, "cannot fetch the keys of an issuer");
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.pace().under_way = false;
        self.0.ended.send_modify(|ended| *ended += 1);
    }
}
