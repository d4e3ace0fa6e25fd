//! Why a call gets the answer it gets: what `weft explain` says of requests and events that nobody sent, of decisions of
//! the past, and of what became of an event; and that asking changes nothing.

mod administration;
mod delivery;
mod open_calls;
mod past;
mod rehearsal;

use serde_json::Value;
use weft_tests::{Node, manifest};

/// The identity of callers of `weft dev`.
const DEV: &str = "spiffe://weft.local/ns/default/sa/dev";

/// A policy that refuses one caller everything that traffic does.
fn deny(name: &str, principal: &str) -> String {
    let from = format!("from: [ {{ source: {{ principals: [ \"{principal}\" ] }} }} ]");
    manifest::policy(name, &format!("action: DENY, rules: [ {{ {from} }} ]"))
}

/// What `weft explain` answers in JSON; it could explain.
async fn explain(node: &Node, words: &[&str]) -> Value {
    let words: Vec<&str> = ["explain"].iter().chain(words).chain(&["-o", "json"]).copied().collect();
    node.weft(&words).await.ok().json()
}

/// The same as a person reads it.
async fn page(node: &Node, words: &[&str]) -> String {
    let words: Vec<&str> = ["explain"].iter().chain(words).copied().collect();
    let page = node.weft(&words).await.ok().stdout;
    assert!(page.lines().all(|line| line.chars().count() <= 80), "wider than a terminal:\n{page}");
    assert!(!page.contains('\u{1b}'), "coloured in a pipe:\n{page}");
    page
}
