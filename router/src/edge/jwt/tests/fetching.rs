//! When keys at an address are fetched and how long they count (`threats.md` D-05 to D-07), on a clock that tests move.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, advance};
use weft_functions::issuer::Algorithm;

use super::super::remote::{Document, Fetch, Remote};
use super::*;

/// A server of keys that does as it is told.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<State>>);

struct State {
    answer: Answer,
    max_age: Option<Duration>,
    /// When it was asked.
    asked: Vec<Instant>,
}

/// What it does.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(String),
    After(Duration, String),
    Error,
    Never,
}

impl Server {
    pub(super) fn new(answer: Answer) -> Self {
        Self(Arc::new(Mutex::new(State { answer, max_age: None, asked: Vec::new() })))
    }

    pub(super) fn answers(&self, answer: Answer) {
        self.0.lock().expect("a lock").answer = answer;
    }

    fn max_age(&self, seconds: u64) {
        self.0.lock().expect("a lock").max_age = Some(Duration::from_secs(seconds));
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.0.lock().expect("a lock").asked.len()
    }

    /// Seconds between one question and the next.
    fn pauses(&self) -> Vec<u64> {
        let state = self.0.lock().expect("a lock");
        state.asked.windows(2).map(|pair| pair[1].duration_since(pair[0]).as_secs()).collect()
    }
}

impl Fetch for Server {
    fn fetch(&self) -> BoxFuture<'static, Result<Document, String>> {
        let (answer, max_age) = {
            let mut state = self.0.lock().expect("a lock");
            state.asked.push(Instant::now());
            (state.answer.clone(), state.max_age)
        };
        Box::pin(async move {
            let body = match answer {
                Answer::Keys(text) => text,
                Answer::After(delay, text) => {
                    tokio::time::sleep(delay).await;
                    text
                }
                Answer::Error => return Err("it is down".to_owned()),
                Answer::Never => std::future::pending().await,
            };
            Ok(Document { body: Bytes::from(body), max_age })
        })
    }
}

/// Keys named like this.
fn keys(mint: &Mint, kids: &[&str]) -> String {
    let key = mint.jwks()["keys"][1].clone();
    let named = |kid: &&str| {
        let mut key = key.clone();
        key["kid"] = json!(kid);
        key
    };
    json!({ "keys": kids.iter().map(named).collect::<Vec<_>>() }).to_string()
}

fn remote(server: &Server) -> Arc<Remote> {
    Remote::new("default/corp".to_owned(), Box::new(server.clone()), Algorithm::ALL.to_vec())
}

/// What comes of looking for a key, after waiting if that must be.
async fn find(remote: &Arc<Remote>, kid: &str) -> &'static str {
    let found = match remote.find(Some(kid), May::Fetch) {
        Lookup::Wait(waiter) => {
            waiter.ended().await;
            remote.find(Some(kid), May::NotFetch)
        }
        found => found,
    };
    match found {
        Lookup::Found(_) => "found",
        Lookup::Unknown => "unknown",
        Lookup::Unavailable => "unavailable",
        Lookup::Wait(_) => "waiting",
    }
}

async fn pass(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
}

/// Lets a fetch in the background come to its end.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_waits_for_one_fetch() {
    let mint = Mint::new();
    let server = Server::new(Answer::After(Duration::from_secs(1), keys(&mint, &["a"])));
    let remote = remote(&server);
    let found = join_all((0..100).map(|_| find(&remote, "a"))).await;
    assert!(found.iter().all(|found| *found == "found"), "{found:?}");
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_outlives_the_caller_who_began_it() {
    let mint = Mint::new();
    let server = Server::new(Answer::After(Duration::from_secs(1), keys(&mint, &["a"])));
    let remote = remote(&server);
    assert!(tokio::time::timeout(Duration::from_millis(1), find(&remote, "a")).await.is_err());
    assert_eq!(find(&remote, "a").await, "found");
    assert_eq!(server.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn unknown_ids_lead_to_a_fetch_in_half_a_minute() {
    let mint = Mint::new();
    let server = Server::new(Answer::Keys(keys(&mint, &["a"])));
    let remote = remote(&server);
    assert_eq!(find(&remote, "a").await, "found");
    for step in 0..60 {
        for number in 0..200 {
            assert_eq!(find(&remote, &format!("random-{step}-{number}")).await, "unknown");
        }
        assert_eq!(find(&remote, "a").await, "found");
        pass(1).await;
    }
    assert_eq!(server.asked(), 3, "one to begin with, then one in half a minute: {:?}", server.pauses());
}

#[tokio::test(start_paused = true)]
async fn a_new_key_is_taken_at_once_and_at_the_latest_after_half_a_minute() {
    let mint = Mint::new();
    let server = Server::new(Answer::Keys(keys(&mint, &["a"])));
    let remote = remote(&server);
    assert_eq!(find(&remote, "a").await, "found");
    // Published, then used.
    server.answers(Answer::Keys(keys(&mint, &["a", "b"])));
    assert_eq!((find(&remote, "b").await, find(&remote, "a").await), ("found", "found"));
    // Used, then published.
    assert_eq!(find(&remote, "c").await, "unknown");
    server.answers(Answer::Keys(keys(&mint, &["a", "b", "c"])));
    pass(30).await;
    assert_eq!((find(&remote, "c").await, find(&remote, "a").await), ("found", "found"));
    // Withdrawn.
    server.answers(Answer::Keys(keys(&mint, &["c"])));
    pass(301).await;
    assert_eq!(find(&remote, "a").await, "found", "the fetch that is due does not keep anybody waiting");
    settle().await;
    assert_eq!((find(&remote, "a").await, find(&remote, "c").await), ("unknown", "found"));
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_when_somebody_uses_them_and_it_is_time() {
    for (max_age, expect) in [(None, 300), (Some(0), 60), (Some(90), 90), (Some(86_400), 1_800)] {
        let mint = Mint::new();
        let server = Server::new(Answer::Keys(keys(&mint, &["a"])));
        if let Some(seconds) = max_age {
            server.max_age(seconds);
        }
        let remote = remote(&server);
        assert_eq!(find(&remote, "a").await, "found");
        for second in [expect - 1, expect] {
            assert_eq!(server.asked(), 1, "{max_age:?}: {second}");
            pass(if second == expect { 1 } else { second }).await;
            // By a token that is new, or by one that was verified before.
            assert!(remote.counts());
            settle().await;
        }
        assert_eq!(server.pauses(), [expect], "{max_age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn old_keys_count_for_an_hour_and_no_longer() {
    let mint = Mint::new();
    let server = Server::new(Answer::Keys(keys(&mint, &["a"])));
    let remote = remote(&server);
    assert_eq!(find(&remote, "a").await, "found");
    server.answers(Answer::Error);
    for _ in 0..60 {
        pass(60).await;
        assert_eq!((find(&remote, "a").await, remote.counts()), ("found", true));
        settle().await;
        assert_eq!(find(&remote, "b").await, if server.asked() == 1 { "unknown" } else { "unavailable" });
    }
    pass(1).await;
    assert_eq!((find(&remote, "a").await, remote.counts()), ("unavailable", false));
    server.answers(Answer::Keys(keys(&mint, &["a"])));
    pass(30).await;
    assert_eq!((find(&remote, "a").await, remote.counts()), ("found", true));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_down_is_asked_ever_less_often() {
    let mint = Mint::new();
    let server = Server::new(Answer::Error);
    let remote = remote(&server);
    for _ in 0..150 {
        assert_eq!(find(&remote, "a").await, "unavailable");
        pass(1).await;
    }
    assert_eq!(server.pauses(), [5, 10, 20, 30, 30, 30]);
    server.answers(Answer::Keys(keys(&mint, &["a"])));
    pass(30).await;
    assert_eq!(find(&remote, "a").await, "found");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_keeps_nobody_for_long() {
    let server = Server::new(Answer::Never);
    let remote = remote(&server);
    let began = Instant::now();
    assert_eq!(find(&remote, "a").await, "unavailable");
    assert_eq!(began.elapsed().as_secs(), 3);
    let slow = Instant::now();
    assert_eq!(find(&remote, "a").await, "unavailable");
    assert_eq!(slow.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_key_set_replaces_none() {
    let mint = Mint::new();
    let good = keys(&mint, &["a"]);
    let kids: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let kids: Vec<&str> = kids.iter().map(String::as_str).collect();
    for bad in ["<html>", "", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#, &keys(&mint, &kids)] {
        let server = Server::new(Answer::Keys(good.clone()));
        let remote = remote(&server);
        assert_eq!(find(&remote, "a").await, "found");
        server.answers(Answer::Keys(bad.to_owned()));
        assert_eq!(find(&remote, "b").await, "unavailable", "{bad:.40}");
        assert_eq!((find(&remote, "a").await, server.asked()), ("found", 2), "{bad:.40}");
    }
    // An empty set is one: its issuer has withdrawn everything.
    let server = Server::new(Answer::Keys(good));
    let remote = remote(&server);
    assert_eq!(find(&remote, "a").await, "found");
    server.answers(Answer::Keys(r#"{"keys":[]}"#.to_owned()));
    assert_eq!((find(&remote, "b").await, find(&remote, "a").await), ("unknown", "unknown"));
}
