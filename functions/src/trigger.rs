//! The resource `Trigger`: joins a topic, filters and a destination, and says how hard to try.

mod read;

use serde_json::{Map, Value, json};

use crate::filter::Filters;
use crate::manifest::{Location, Metadata, Reference};
use crate::value::{Duration, Name, Namespaced};

/// A trigger as a person wrote it, defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Name and namespace.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: TriggerSpec,
    /// Where its document begins.
    pub location: Location,
    /// Every resource that the spec names, with its line.
    pub(crate) references: Vec<Reference>,
}

/// The body of a [`Trigger`]. Names of other resources are resolved: a bare name is in the trigger's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerSpec {
    /// The topic whose events are delivered.
    pub topic: Namespaced,
    /// Where a new trigger starts.
    pub from: StartFrom,
    /// Which events; default all.
    pub filters: Filters,
    /// Who receives them.
    pub destination: Destination,
    /// Whether a `url` outside is told who emitted an event and who began its chain (`x-weft-principal`, `x-weft-origin`,
    /// `weftorigin`); default no. A function always is.
    pub pass_identity: bool,
    /// Where a reply event goes; `None` counts it as `REPLY_UNROUTED`.
    pub reply: Option<Namespaced>,
    /// How hard to try.
    pub delivery: Delivery,
}

/// Where a new trigger starts to read its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StartFrom {
    /// `end` (default): events published after it was applied.
    #[default]
    End,
    /// `beginning`: everything the topic still holds.
    Beginning,
}

impl StartFrom {
    pub(crate) const CHOICES: [(&'static str, Self); 2] = [("end", Self::End), ("beginning", Self::Beginning)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Beginning => "beginning",
        }
    }
}

/// Who receives a trigger's events: `function` with `path`, or `url`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A function of the mesh.
    Function {
        /// Which one.
        function: Namespaced,
        /// Path and query of the request; default `/`. Begins with `/`, has no fragment.
        path: String,
    },
    /// An absolute `http` or `https` address without user information or fragment; its path is part of it.
    Url(http::Uri),
}

/// Knative's DeliverySpec, plus ours. Defaults: `{ retry: 10, backoffPolicy: exponential, backoffDelay: PT0.2S,
/// backoffMax: PT5M, timeout: PT30S, ordered: false, inFlight: 16, maxAge: P1D, handshake: optional }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Attempts after the first: 0 to 1,000.
    pub retry: u32,
    /// How the wait grows.
    pub backoff_policy: BackoffPolicy,
    /// The first wait: 1 ms to 1 d.
    pub backoff_delay: Duration,
    /// The longest wait: `backoffDelay` to 7 d.
    pub backoff_max: Duration,
    /// One attempt: 1 ms to 1 h.
    pub timeout: Duration,
    /// A topic that gets a copy of every event that could not be delivered; default none.
    pub dead_letter: Option<Namespaced>,
    /// Deliveries under way at once: 1 to 1,024.
    pub in_flight: u32,
    /// An event older than this is given up: 1 s to 365 d.
    pub max_age: Duration,
    /// The longest `Retry-After` that is honoured: 0 to 7 d. `None` (default): `backoffMax` bounds it.
    pub retry_after_max: Option<Duration>,
    /// Whether events with equal `partitionkey` (without one: `source`) are delivered one after the other, each after the
    /// one before has ended; default no.
    pub ordered: bool,
    /// Whether a `url` is asked for its consent first.
    pub handshake: Handshake,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            retry: 10,
            backoff_policy: BackoffPolicy::Exponential,
            backoff_delay: Duration::from_millis(200),
            backoff_max: Duration::from_secs(300),
            timeout: Duration::from_secs(30),
            dead_letter: None,
            in_flight: 16,
            max_age: Duration::from_secs(86_400),
            retry_after_max: None,
            ordered: false,
            handshake: Handshake::Optional,
        }
    }
}

/// Whether a `url` must agree to deliveries, by the handshake of CloudEvents' "HTTP 1.1 Web Hooks" (section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Handshake {
    /// `optional` (default): it is asked; one that says nothing gets events, one that names others only gets none.
    #[default]
    Optional,
    /// `required`: only one that agrees gets events.
    Required,
    /// `off`: it is not asked.
    Off,
}

impl Handshake {
    pub(crate) const CHOICES: [(&'static str, Self); 3] =
        [("optional", Self::Optional), ("required", Self::Required), ("off", Self::Off)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
            Self::Off => "off",
        }
    }
}

/// How the wait before a retry grows with the number of the attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackoffPolicy {
    /// `linear`: delay × n.
    Linear,
    /// `exponential` (default): delay × 2ⁿ.
    #[default]
    Exponential,
}

impl BackoffPolicy {
    pub(crate) const CHOICES: [(&'static str, Self); 2] =
        [("linear", Self::Linear), ("exponential", Self::Exponential)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

impl TriggerSpec {
    /// The spec as JSON, with defaults; reads back as the same spec in namespace `home`.
    pub(crate) fn to_json(&self, home: &Name) -> Value {
        let mut spec = Map::new();
        spec.insert("topic".into(), self.topic.relative_to(home).into());
        spec.insert("from".into(), self.from.as_str().into());
        spec.insert("filters".into(), self.filters.to_json());
        match &self.destination {
            Destination::Function { function, path } => {
                spec.insert("function".into(), function.relative_to(home).into());
                spec.insert("path".into(), path.as_str().into());
            }
            Destination::Url(url) => {
                spec.insert("url".into(), url.to_string().into());
                spec.insert("passIdentity".into(), self.pass_identity.into());
            }
        }
        if let Some(reply) = &self.reply {
            spec.insert("reply".into(), json!({ "topic": reply.relative_to(home) }));
        }
        spec.insert("delivery".into(), self.delivery.to_json(home));
        Value::Object(spec)
    }
}

impl Delivery {
    fn to_json(&self, home: &Name) -> Value {
        let mut delivery = json!({
            "retry": self.retry,
            "backoffPolicy": self.backoff_policy.as_str(),
            "backoffDelay": self.backoff_delay,
            "backoffMax": self.backoff_max,
            "timeout": self.timeout,
            "ordered": self.ordered,
            "inFlight": self.in_flight,
            "maxAge": self.max_age,
        });
        if self.handshake != Handshake::default() {
            delivery["handshake"] = self.handshake.as_str().into();
        }
        if let Some(topic) = &self.dead_letter {
            delivery["deadLetter"] = json!({ "topic": topic.relative_to(home) });
        }
        if let Some(longest) = self.retry_after_max {
            delivery["retryAfterMax"] = json!(longest);
        }
        delivery
    }
}
