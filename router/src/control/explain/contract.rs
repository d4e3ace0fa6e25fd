//! The shape of an explanation: what `-o json` prints, to the letter (semantics.md, section 16.1). Values only; what goes
//! into them is decided elsewhere. Members that say nothing about a call are left out, all others are always there.

use serde::Serialize;

/// An explanation.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The decision's id; `null` of a call that nobody made.
    pub decision: Option<String>,
    /// `request`, `event`, `delivery`, `egress` or `admin`.
    pub kind: &'static str,
    /// The verb.
    pub verb: &'static str,
    /// The trigger or function through which the call came.
    pub via: Option<String>,
    /// `allow`, `deny`, `no_route`, `throttled`, `unavailable` or `deferred`.
    pub verdict: &'static str,
    /// The reason code, or `OK`.
    pub code: &'static str,
    /// What the log says of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it was and how it ended; not of a call that nobody made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Happened>,
    /// What was asked for.
    pub asked: Asked,
    /// Who asked.
    pub identity: Identity,
    /// What it was aimed at, and how that was found.
    pub route: Route,
    /// What policy says.
    pub policy: Policy,
    /// Of a function.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<Revision>,
    /// Of a function: where the call would run now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Instance>,
    /// Of a function: what the call may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Of an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// What it was judged by.
    pub snapshot: Snapshot,
}

/// When a call was, and how it ended.
#[derive(Debug, Clone, Serialize)]
pub struct Happened {
    /// When it began, RFC 3339.
    pub at: String,
    /// The status that was answered.
    pub status: u16,
    /// Until the answer's head.
    pub head_us: u64,
    /// Until the end; `null` while the answer goes on.
    pub duration_us: Option<u64>,
    /// `complete`, `broken`, `abandoned`, `cut`; `null` while the answer goes on.
    pub end: Option<&'static str>,
    /// Bytes of the answer's body.
    pub bytes: Option<u64>,
}

/// What was asked for.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Asked {
    /// The target in words: `function default/hello`.
    pub target: String,
    /// The method.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The canonical path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Who asked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Identity {
    /// The workload; `null` of a caller that showed no certificate.
    pub peer: Option<String>,
    /// `<iss>/<sub>` of its token.
    pub user: Option<String>,
    /// Who began the chain.
    pub origin: Option<String>,
    /// Through what it came.
    pub via: Vec<String>,
    /// How it was proven; of a call that nobody made, how it would have to be.
    pub how: &'static str,
}

/// What a call was aimed at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Route {
    /// The target; `null` if there is none.
    pub name: Option<String>,
    /// Where it is written: `app.yaml:12`.
    pub source: Option<String>,
    /// What of the call led there.
    pub matched: Vec<&'static str>,
    /// What a person may have meant instead, and why it was not that.
    pub losers: Vec<Loser>,
}

/// A target that was not meant.
#[derive(Debug, Clone, Serialize)]
pub struct Loser {
    /// The target.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// What policy says.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Policy {
    /// Every rule that was asked, in order.
    pub steps: Vec<Step>,
    /// What the verdict rests on: `policy default/clerks rule 0`, `default`, …
    pub deciding: Option<String>,
    /// AUDIT rules that matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audited: Vec<String>,
    /// Further rules that did not match.
    #[serde(skip_serializing_if = "is_zero")]
    pub omitted: usize,
    /// Why steps are missing, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One rule, or the default.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// `deny`, `audit`, `allow` or `default`.
    pub phase: &'static str,
    /// `ns/name`; `null` for the default and for a namespace's `sourcePrefixes`.
    pub policy: Option<String>,
    /// Counted from 0.
    pub rule: Option<u32>,
    /// `null` if it depends on what is not known.
    #[serde(rename = "match")]
    pub matches: Option<bool>,
    /// Why (not).
    pub why: String,
    /// Where it is written: `app.yaml:12`, or `built-in`.
    pub source: Option<String>,
}

/// The revision that takes the calls.
#[derive(Debug, Clone, Serialize)]
pub struct Revision {
    /// Its name.
    pub name: String,
    /// Its share of the traffic, in percent.
    pub weight: u8,
}

/// Where a call would run.
#[derive(Debug, Clone, Serialize)]
pub struct Instance {
    /// `reuse`, `start`, `queue` or `reject`.
    pub action: &'static str,
    /// Why.
    pub why: String,
}

/// What a call may use.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// Until the first byte of the answer.
    pub timeout_ms: u64,
    /// Processor time.
    pub cpu_ms: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// Between two bytes of the answer.
    pub idle_ms: u64,
    /// The whole answer.
    pub stream_ms: u64,
}

/// What is about an event.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    /// `ns/name` of the topic.
    pub topic: Option<String>,
    /// The attributes that are known.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub ty: Option<String>,
    /// Where it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The topic's triggers, and what each would do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
}

/// What a trigger would do with an event.
#[derive(Debug, Clone, Serialize)]
pub struct Subscription {
    /// `ns/name` of the trigger.
    pub name: String,
    /// Where it is written.
    pub source: String,
    /// Where it delivers: `function default/billing`, or an address.
    pub target: String,
    /// `pass` or `fail`.
    pub filter: &'static str,
    /// The first term that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failing: Option<String>,
    /// `deliver`, `filter`, or `deny`.
    pub next: &'static str,
    /// May it read the topic?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consume: Option<Asking>,
    /// May it leave the mesh itself? Of one with a `url:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Asking>,
    /// May the publisher reach the target through it?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Asking>,
}

/// One question to policy and its answer.
#[derive(Debug, Clone, Serialize)]
pub struct Asking {
    /// `allow`, `deny` or `no_route`.
    pub verdict: &'static str,
    /// The reason code, or `OK`.
    pub code: &'static str,
    /// What policy says.
    pub policy: Policy,
}

/// What a call was judged by.
#[derive(Debug, Clone, Serialize)]
pub struct Snapshot {
    /// Its number.
    pub version: u64,
    /// How long ago it was put in force; `null` if that is not known any more.
    pub age_ms: Option<u64>,
    /// Whether its rules are still kept, so that the steps are those of then.
    pub kept: bool,
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}
