//! Tokens (RFC 7519): which Issuers count for a call, which of them a token is from, whether it is good, and what was
//! found out about it before. Verifying is strict throughout: the key decides the algorithm and never the token, nothing
//! that a token names is fetched, and what can be read in two ways is refused.
//!
//! ```text
//! headers ─ carried ─► token ─ cache ─► verified before: no signature, no wait
//!                        └── jws ─► claims' `iss` ─► issuer ─ keys, remote ─► signature ─► claims ─► Token
//! ```

mod cache;
mod carried;
mod claims;
mod fetch;
mod issuer;
mod json;
mod jws;
mod keys;
mod refusal;
mod remote;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::join_all;
use http::HeaderMap;
use serde_json::{Map, Value};
use weft_eventlog::Clock;
use weft_functions::issuer::Issuer as Resource;
use weft_functions::value::Name;

use self::cache::{Cache, Showing};
use self::claims::LEEWAY;
use self::fetch::Published;
use self::issuer::{Fetcher, Issuer};
use self::jws::{Jws, TOKEN_MAX};
use self::keys::Key;
use self::refusal::Refusal;
use self::remote::{Fetch, Lookup, May, Waiter};
use self::view::{View, Views};
use crate::path::caller::Token;
use crate::path::tokens::{Shown, Tokens, Verification};
use crate::targets::upstream::Documents;

/// Verifies tokens by the Issuers in force. Its clones are one.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    views: ArcSwap<Views>,
    cache: Cache<Arc<Verified>>,
    fetcher: Box<Fetcher>,
    clock: Arc<dyn Clock>,
}

/// A token that was found good, and what that rests on.
struct Verified {
    token: Arc<Token>,
    issuer: Arc<Issuer>,
    key: Arc<Key>,
}

impl Verified {
    fn holds(&self, now: u64) -> bool {
        now < self.token.expires.saturating_add(LEEWAY) && self.issuer.counts(&self.key)
    }
}

/// What came of looking at a token that was not refused.
enum Judged {
    Good(Arc<Verified>),
    /// Keys are on their way that may make it good.
    Wait(Vec<Waiter>),
}

impl Verifier {
    /// A verifier without Issuers, which takes no tokens yet.
    pub fn new(documents: Arc<Documents>, clock: Arc<dyn Clock>) -> Self {
        let fetcher = move |uri: &http::Uri, private| -> Box<dyn Fetch> {
            Box::new(Published { documents: documents.clone(), uri: uri.clone(), private })
        };
        Self::with(Box::new(fetcher), clock)
    }

    fn with(fetcher: Box<Fetcher>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { views: ArcSwap::default(), cache: Cache::default(), fetcher, clock }))
    }

    /// Puts the Issuers of a snapshot in force. One that did not change keeps its keys; what rests on another is forgotten.
    pub fn reconcile<'a>(&self, issuers: impl IntoIterator<Item = &'a Resource>) {
        let make = |resource: &Resource, scope| Issuer::new(resource, scope, &self.0.fetcher);
        let Some(views) = self.0.views.load().succeeded_by(issuers, make) else { return };
        let live = views.ids();
        self.0.views.store(Arc::new(views));
        self.0.cache.retain(|view, _| live.contains(&view));
    }
}

impl Tokens for Verifier {
    fn verify(&self, namespace: &Name, headers: &HeaderMap) -> Verification {
        let views = self.0.views.load();
        let Some(view) = views.of(namespace) else { return Verification::Done(Ok(None)) };
        let (place, token) = match view.find(headers) {
            Ok(Some(found)) => found,
            Ok(None) => return Verification::Done(Ok(None)),
            Err(refusal) => return Verification::Done(Err(refusal.into())),
        };
        let header = view.places[place].header.clone();
        let shown = |verified: &Verified, header| Ok(Some(Shown { token: verified.token.clone(), header }));
        match self.0.verify(view, Showing { view: view.id, place, token }) {
            Ok(Judged::Good(verified)) => Verification::Done(shown(&verified, header)),
            Err(refusal) => Verification::Done(Err(refusal.into())),
            Ok(Judged::Wait(waiters)) => {
                let (inner, view, token) = (self.0.clone(), view.clone(), token.to_vec());
                Verification::Waiting(Box::pin(async move {
                    join_all(waiters.into_iter().map(Waiter::ended)).await;
                    let verified = inner.last_word(&view, Showing { view: view.id, place, token: &token })?;
                    shown(&verified, header)
                }))
            }
        }
    }
}

impl Inner {
    /// Looks at a token: whether it was verified before, and otherwise all of it.
    fn verify(&self, view: &View, showing: Showing<'_>) -> Result<Judged, Refusal> {
        if showing.token.len() > TOKEN_MAX {
            return Err(Refusal::invalid("the token is longer than 8 KiB"));
        }
        let now = self.now();
        match self.cache.get(showing).filter(|verified| verified.holds(now)) {
            Some(verified) => Ok(Judged::Good(verified)),
            None => self.judge(view, showing, now, May::Fetch),
        }
    }

    /// Looks at a token again, with what keys there are by now.
    fn last_word(&self, view: &View, showing: Showing<'_>) -> Result<Arc<Verified>, Refusal> {
        match self.judge(view, showing, self.now(), May::NotFetch)? {
            Judged::Good(verified) => Ok(verified),
            Judged::Wait(_) => Err(unavailable()),
        }
    }

    fn judge(&self, view: &View, showing: Showing<'_>, now: u64, may: May) -> Result<Judged, Refusal> {
        let jws = Jws::parse(showing.token)?;
        let claims = json::object(&jws.payload)
            .map_err(|error| Refusal::invalid(format!("the token's claims cannot be read: {error}")))?;
        let iss = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let (mut refused, mut waiters) = (None, Vec::new());
        for issuer in view.claimants(iss, showing.place) {
            let found = match issuer.find(jws.kid.as_deref(), may) {
                Lookup::Found(key) => good(view, issuer, &key, &jws, &claims, now).map(|token| (token, key)),
                Lookup::Unknown => Err(Refusal::invalid("the token names a key that its issuer does not have")),
                Lookup::Unavailable => Err(unavailable()),
                Lookup::Wait(waiter) => {
                    waiters.push(waiter);
                    continue;
                }
            };
            match found {
                Ok((token, key)) => {
                    let verified = Arc::new(Verified { token: Arc::new(token), issuer: issuer.clone(), key });
                    self.cache.insert(showing, verified.clone());
                    return Ok(Judged::Good(verified));
                }
                Err(refusal) => refused = Some(refused.map_or(refusal.clone(), |other: Refusal| other.or(refusal))),
            }
        }
        match refused {
            _ if !waiters.is_empty() => Ok(Judged::Wait(waiters)),
            Some(refusal) => Err(refusal),
            None => Err(Refusal::invalid("no Issuer that counts here has the token's `iss`")),
        }
    }

    /// Seconds since 1970.
    fn now(&self) -> u64 {
        self.clock.now_ms() / 1000
    }
}

/// What a token is worth that names `key` of `issuer`.
fn good(
    view: &View,
    issuer: &Issuer,
    key: &Key,
    jws: &Jws<'_>,
    claims: &Map<String, Value>,
    now: u64,
) -> Result<Token, Refusal> {
    key.verify(jws)?;
    let token = issuer.rules.token(claims.clone(), now)?;
    if view.is_anothers(&token.subject.text, issuer) {
        return Err(Refusal::invalid("the token's `iss` and `sub` together read like another Issuer's"));
    }
    Ok(token)
}

fn unavailable() -> Refusal {
    Refusal::Unavailable("the keys of the token's issuer cannot be had now".into())
}
