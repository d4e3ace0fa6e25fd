//! A call: everything that happens in the mesh, as one value. A request, a publish, a delivery, a reply event and a
//! function's own outgoing call differ in their verb and target and in nothing else, so that one pipeline serves them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;
use weft_eventlog::Sequence;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;
use weft_runtime::Body;

use super::outcome::Failure;

/// How often a chain of calls and events may go on: `threats.md` INV-20. Knative's broker allows 255, which turns a
/// loop of two functions into a flood before anybody sees it.
pub const HOPS_MAX: u8 = 16;

/// How many events one delivery attempt may cause, replies and publishes together (`threats.md` section 7).
pub const EMISSIONS_MAX: u32 = 16;

/// Everything that happens, on its way through [`super::pipeline::handle`].
#[derive(Debug)]
pub struct Call {
    /// What the caller wants to do.
    pub verb: Verb,
    /// What it wants to do that to.
    pub target: Target,
    /// Who asks, who began the chain, and through what the call came.
    pub caller: Caller,
    /// Head and streaming body, canonical and without anything that looks like identity.
    pub request: http::Request<Body>,
    /// When the answer's first byte must have come.
    pub deadline: Instant,
    /// How many calls and events lie before this one; the origin's own call has 0.
    pub hops: u8,
    /// The delivery that this call happens in, if any: what it publishes gets ids derived from it.
    pub cause: Option<Arc<Cause>>,
}

/// What a call is aimed at, by name. Whether it exists is for the snapshot to say, and only after policy.
#[derive(Debug, Clone)]
pub enum Target {
    /// A function of this mesh.
    Function(Namespaced),
    /// A topic of this mesh.
    Topic(Namespaced),
    /// Something outside, with the way it was allowed to be named.
    Outside(Outside),
    /// Nothing the mesh could route to; the failure says why. It is recorded and answered like any other refusal.
    Nowhere(Failure),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Function(name) => write!(f, "function {name}"),
            Target::Topic(name) => write!(f, "topic {name}"),
            Target::Outside(outside) => write!(f, "{}", outside.authority),
            Target::Nowhere(_) => f.write_str("nowhere"),
        }
    }
}

/// A host outside the mesh.
#[derive(Debug, Clone)]
pub struct Outside {
    /// `host` or `host:port`, lower case.
    pub authority: Arc<str>,
    /// The kind of the resource that reaches outside: a function, or a trigger with a `url:`.
    pub owner_kind: Kind,
    /// Its name. Policies select calls to the outside by it.
    pub owner: Namespaced,
    /// Which addresses it may turn out to have.
    pub reach: Reach,
}

/// Which addresses a name outside the mesh may resolve to. Checked on the address that is dialled, not on the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Publicly routable addresses only: what a function reaches by a name on its list.
    Public,
    /// Loopback and private ones too: an address listed as such, and what triggers of `weft dev` may deliver to.
    Anywhere,
}

/// Who is behind a call. Comes from TLS, a token or a stored envelope; never from a header, attribute or body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who emitted this message. On a delivery: the event's publisher.
    pub principal: Principal,
    /// Who began the chain.
    pub origin: Principal,
    /// The trigger or function it came through, if it did not come straight from the principal.
    pub via: Option<Principal>,
}

impl Caller {
    /// A caller that begins a chain.
    pub fn direct(principal: Principal) -> Self {
        Self { origin: principal.clone(), principal, via: None }
    }
}

/// A SPIFFE id as text, such as `spiffe://weft.local/ns/default/sa/shop`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Takes an id that was verified where it came from.
    pub fn verified(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The identity that a node asserts for a function it runs: `spiffe://TD/ns/NS/fn/NAME`.
    pub fn function(trust_domain: &str, name: &Namespaced) -> Self {
        Self(format!("spiffe://{trust_domain}/ns/{}/fn/{}", name.namespace, name.name).into())
    }

    /// The identity under which a trigger delivers to the outside and writes dead letters: `spiffe://TD/ns/NS/trigger/NAME`.
    pub fn trigger(trust_domain: &str, name: &Namespaced) -> Self {
        Self(format!("spiffe://{trust_domain}/ns/{}/trigger/{}", name.namespace, name.name).into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The delivery attempt in which a call happens. A redelivery makes the same numbers again, so that what it publishes
/// a second time is recognised as the same event.
#[derive(Debug)]
pub struct Cause {
    topic: Namespaced,
    sequence: Sequence,
    trigger: Namespaced,
    /// Sets what the mesh emits about the event (a dead letter's copy) apart from what the subscriber emits.
    label: String,
    emitted: AtomicU32,
}

impl Cause {
    /// The cause for one attempt at delivering the event at `sequence` of `topic` by `trigger`.
    pub fn new(topic: Namespaced, sequence: Sequence, trigger: Namespaced) -> Arc<Self> {
        Self::labelled(topic, sequence, trigger, String::new())
    }

    /// The cause of the copy that goes to a dead letter topic when `attempt` was the last.
    pub fn dead(topic: Namespaced, sequence: Sequence, trigger: Namespaced, attempt: u32) -> Arc<Self> {
        Self::labelled(topic, sequence, trigger, format!("dead/{attempt}/"))
    }

    fn labelled(topic: Namespaced, sequence: Sequence, trigger: Namespaced, label: String) -> Arc<Self> {
        Arc::new(Self { topic, sequence, trigger, label, emitted: AtomicU32::new(0) })
    }

    /// The number of the next thing that this attempt emits, or `None` when it has emitted [`EMISSIONS_MAX`] already.
    pub fn next_emission(&self) -> Option<u32> {
        let next = |n: u32| (n < EMISSIONS_MAX).then_some(n + 1);
        self.emitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    /// The dedupe id of the event at `place` of what this attempt emits as its `emission`th thing.
    pub fn derived_id(&self, emission: u32, place: usize) -> String {
        format!("derived/{}/{}/{}/{}{emission}/{place}", self.topic, self.sequence, self.trigger, self.label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Namespaced {
        text.parse().expect("a name")
    }

    #[test]
    fn emissions_are_numbered_alike_in_each_attempt_and_end() {
        let attempt = || Cause::new(name("default/orders"), "7".parse().expect("a sequence"), name("default/bill"));
        let (first, second) = (attempt(), attempt());
        let ids = |cause: &Cause| -> Vec<String> {
            std::iter::from_fn(|| cause.next_emission()).map(|n| cause.derived_id(n, 0)).collect()
        };
        let (a, b) = (ids(&first), ids(&second));
        assert_eq!(a, b);
        assert_eq!(a.len(), EMISSIONS_MAX as usize);
        assert_eq!(a[0], "derived/default/orders/7/default/bill/0/0");
        let dead = Cause::dead(name("default/orders"), "7".parse().expect("a sequence"), name("default/bill"), 3);
        assert_eq!(dead.derived_id(0, 0), "derived/default/orders/7/default/bill/dead/3/0/0");
    }
}
