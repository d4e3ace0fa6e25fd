//! The resource `Topic`: a named, durable log of events, and what it keeps.

mod read;

use serde_json::{Value, json};

use crate::manifest::{Location, Metadata};
use crate::value::{Duration, Size};

/// A topic as a person wrote it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Name and namespace.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: TopicSpec,
    /// Where its document begins.
    pub location: Location,
}

/// The body of a [`Topic`]. Every key has a default, so a topic may have no `spec` at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// What is kept, and what happens when it is full.
    pub retention: Retention,
    /// For how long a repeat of (source, id) is recognised; default 2 min, 0 to 24 h, 0 recognises none.
    pub dedupe: Duration,
    /// What a 202 promises.
    pub durability: Durability,
    /// Claims of the publisher's token that are stored with an event; default none, at most 32.
    pub keep_claims: Vec<String>,
}

impl Default for TopicSpec {
    fn default() -> Self {
        Self {
            retention: Retention::default(),
            dedupe: Duration::from_secs(120),
            durability: Durability::Strict,
            keep_claims: Vec::new(),
        }
    }
}

/// What a topic keeps. Defaults: `{ age: 7d, size: 1Gi, full: refuse }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Events older than this are removed: 1 s to 3,650 d.
    pub age: Duration,
    /// Bytes on disk: 64Ki to 16Ti.
    pub size: Size,
    /// What to do at `size`.
    pub full: WhenFull,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 86_400), size: Size::from_mebibytes(1024), full: WhenFull::Refuse }
    }
}

/// What a full topic does while a trigger still needs its oldest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// `refuse` (default): publishing answers 429.
    #[default]
    Refuse,
    /// `drop-oldest`: the events become `expired`.
    DropOldest,
}

impl WhenFull {
    pub(crate) const CHOICES: [(&'static str, Self); 2] = [("refuse", Self::Refuse), ("drop-oldest", Self::DropOldest)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::DropOldest => "drop-oldest",
        }
    }
}

/// What a 202 promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// `strict` (default): the event is fsynced.
    #[default]
    Strict,
    /// `relaxed`: the event reached the operating system.
    Relaxed,
}

impl Durability {
    pub(crate) const CHOICES: [(&'static str, Self); 2] = [("strict", Self::Strict), ("relaxed", Self::Relaxed)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
        }
    }
}

impl TopicSpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "retention": {
                "age": self.retention.age,
                "size": self.retention.size,
                "full": self.retention.full.as_str(),
            },
            "dedupe": self.dedupe,
            "durability": self.durability.as_str(),
            "keepClaims": self.keep_claims,
        })
    }
}
