//! A call: everything that happens in the mesh, as one value. A request, a publish, a delivery, a reply event and a
//! function's own outgoing call differ in their verb and target and in nothing else, so that one pipeline serves them.

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Uri;
use http::uri::Scheme;
use tokio::time::Instant;
use weft_eventlog::Sequence;
use weft_functions::event::Event;
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::policy::Verb;
use weft_functions::value::{Name, Namespaced};
use weft_runtime::Body;

use super::caller::Caller;
use super::canonical::authority;
use super::outcome::{Failure, Reason};

/// How often a chain of calls and events may go on: `threats.md` INV-20. Knative's broker allows 255, which turns a
/// loop of two functions into a flood before anybody sees it.
pub const HOPS_MAX: u8 = 16;

/// How many events one delivery attempt may cause, replies and publishes together (`threats.md` section 7).
pub const EMISSIONS_MAX: usize = 16;

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
    /// The events that the call carries, once they are read: a delivery's at once, a publish's not before they are needed.
    pub events: Option<Vec<Event>>,
}

/// What a call is aimed at, by name. Whether it exists is for the snapshot to say, and only after policy.
#[derive(Debug, Clone)]
pub enum Target {
    /// A function of this mesh.
    Function(Namespaced),
    /// A topic of this mesh, to add to.
    Topic(Namespaced),
    /// A topic of this mesh, to read as a trigger does.
    Subscription(Namespaced),
    /// Something outside, with the way it was allowed to be named.
    Outside(Outside),
    /// A resource, to be looked at or changed.
    Resource(ResourceId),
    /// All of a namespace; with the mesh's own, all of the mesh.
    Namespace(Name),
    /// Nothing the mesh could route to; the failure says why. It is recorded and answered like any other refusal.
    Nowhere(Failure),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Function(name) => write!(f, "function {name}"),
            Target::Topic(name) | Target::Subscription(name) => write!(f, "topic {name}"),
            Target::Outside(outside) => write!(f, "{outside}"),
            Target::Resource(id) => write!(f, "{id}"),
            Target::Namespace(name) => write!(f, "namespace {name}"),
            Target::Nowhere(_) => f.write_str("nowhere"),
        }
    }
}

impl Target {
    /// Why nobody may go there, whatever policy says.
    pub fn refusal(&self) -> Option<&Failure> {
        match self {
            Self::Nowhere(failure) => Some(failure),
            Self::Outside(outside) => outside.reach.as_ref().err(),
            _ => None,
        }
    }
}

/// A host outside the mesh.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Its canonical name or address: lower case, IPv6 in brackets.
    pub host: Box<str>,
    /// Its port, if need be the scheme's.
    pub port: u16,
    /// The kind of the resource that reaches outside: a function, or a trigger with a `url:`.
    pub owner_kind: Kind,
    /// Its name. Policies select calls to the outside by it.
    pub owner: Namespaced,
    /// Which addresses it may turn out to have; an error if the owner does not list it.
    pub reach: Result<Reach, Failure>,
}

impl Outside {
    /// Where a trigger's `url:` leads.
    ///
    /// # Errors
    /// It has no host, or one with more than one meaning.
    pub fn of_trigger(trigger: &Namespaced, url: &Uri, reach: Reach) -> Result<Self, Failure> {
        let no_host = || Failure::hidden(Reason::UpConnect, "the trigger's url has no host");
        let authority = authority::parse(url.authority().ok_or_else(no_host)?.as_str())?;
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let port = authority.port.unwrap_or(if secure { 443 } else { 80 });
        let (owner_kind, owner) = (Kind::Trigger, trigger.clone());
        Ok(Self { host: authority.host, port, owner_kind, owner, reach: Ok(reach) })
    }

    /// The address that a canonical host is in text, if it is one.
    pub fn address(host: &str) -> Option<IpAddr> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        bare.parse().ok()
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Which addresses a host outside the mesh may have. Checked on the address that is dialled, not on the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Publicly routable addresses only: what a function reaches by a name on its list, and triggers by their `url:`.
    Public,
    /// Loopback too: triggers of `weft dev`.
    Loopback,
    /// This one, whatever it is: it is listed as an address or by its range, and the host is this address in text.
    Listed(IpAddr),
}

/// The delivery attempt in which a call happens, for the dedupe ids of what is published in it: a redelivery that
/// publishes the same again must add nothing, and one that publishes something else must lose nothing.
#[derive(Debug)]
pub struct Cause {
    topic: Namespaced,
    sequence: Sequence,
    trigger: Namespaced,
    role: Role,
    /// Shared by all that is published in one attempt.
    emitted: Arc<Mutex<Emitted>>,
}

/// Who publishes on behalf of a delivery.
#[derive(Debug, Clone, Copy)]
enum Role {
    /// The function itself, by calls of its own.
    Subscriber,
    /// The mesh, for the event that the subscriber answered with.
    Reply,
    /// The mesh, for the copy that goes to a dead letter topic when this attempt was the last.
    DeadLetter(u32),
}

#[derive(Debug, Default)]
struct Emitted {
    events: usize,
    contents: Vec<[u8; 32]>,
}

impl Cause {
    /// The cause of what the subscriber does during one attempt at the event at `sequence` of `topic` by `trigger`.
    pub fn subscriber(topic: Namespaced, sequence: Sequence, trigger: Namespaced) -> Arc<Self> {
        Self::of(topic, sequence, trigger, Role::Subscriber)
    }

    /// The cause of the reply of a subscriber, whose own cause this is.
    pub fn reply(&self) -> Arc<Self> {
        let Self { topic, sequence, trigger, emitted, .. } = self;
        let (topic, trigger, emitted) = (topic.clone(), trigger.clone(), emitted.clone());
        Arc::new(Self { topic, sequence: *sequence, trigger, role: Role::Reply, emitted })
    }

    /// The cause of a dead letter's copy.
    pub fn dead_letter(topic: Namespaced, sequence: Sequence, trigger: Namespaced, attempt: u32) -> Arc<Self> {
        Self::of(topic, sequence, trigger, Role::DeadLetter(attempt))
    }

    /// The trigger that delivers.
    pub fn trigger(&self) -> &Namespaced {
        &self.trigger
    }

    /// The event that is delivered, by its sequence in the trigger's topic.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Whether what is published is an event that was admitted before.
    pub fn is_copy(&self) -> bool {
        matches!(self.role, Role::DeadLetter(_))
    }

    fn of(topic: Namespaced, sequence: Sequence, trigger: Namespaced, role: Role) -> Arc<Self> {
        Arc::new(Self { topic, sequence, trigger, role, emitted: Arc::default() })
    }

    /// Counts events that the attempt publishes; `false`, and they do not count, when those would be more than
    /// [`EMISSIONS_MAX`].
    pub fn may_publish(&self, events: usize) -> bool {
        let mut emitted = self.emitted();
        let all = emitted.events.saturating_add(events);
        if all > EMISSIONS_MAX {
            return false;
        }
        emitted.events = all;
        true
    }

    /// The dedupe id of an event published in this attempt. There is one reply and one copy, so these have a name. What
    /// a function publishes by itself is known by its content (without id and time, which it may make anew) and by how
    /// often the attempt published the same: neither the order nor what else it publishes matters.
    pub fn derived_id(&self, content: [u8; 32]) -> String {
        let what = match self.role {
            Role::Reply => "reply".to_owned(),
            Role::DeadLetter(attempt) => format!("dead/{attempt}"),
            Role::Subscriber => {
                let mut emitted = self.emitted();
                let before = emitted.contents.iter().filter(|other| **other == content).count();
                emitted.contents.push(content);
                let digest: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{digest}/{before}")
            }
        };
        format!("derived/{}/{}/{}/{what}", self.topic, self.sequence, self.trigger)
    }

    fn emitted(&self) -> MutexGuard<'_, Emitted> {
        self.emitted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Namespaced {
        text.parse().expect("a name")
    }

    fn of(make: fn(Namespaced, Sequence, Namespaced) -> Arc<Cause>) -> Arc<Cause> {
        make(name("default/orders"), "7".parse().expect("a sequence"), name("default/bill"))
    }

    fn ids(contents: &[u8]) -> Vec<String> {
        let cause = of(Cause::subscriber);
        contents.iter().map(|content| cause.derived_id([*content; 32])).collect()
    }

    #[test]
    fn what_is_published_again_has_the_same_ids_in_any_order() {
        let (first, again) = (ids(&[1, 2, 1]), ids(&[2, 1, 1]));
        assert_eq!(first[0], again[1]);
        assert_eq!(first[1], again[0]);
        assert_eq!(first[2], again[2]);
    }

    #[test]
    fn what_is_new_in_a_redelivery_or_meant_twice_is_not_taken_for_something_else() {
        assert_ne!(ids(&[1])[0], ids(&[2])[0]);
        assert_ne!(ids(&[1, 1])[0], ids(&[1, 1])[1]);
    }

    #[test]
    fn there_is_one_reply_and_one_copy_whatever_they_hold() {
        let reply = of(Cause::subscriber).reply();
        assert_eq!(reply.derived_id([1; 32]), reply.derived_id([2; 32]));
        let copy = |attempt| {
            of(|topic, sequence, trigger| Cause::dead_letter(topic, sequence, trigger, 3)).derived_id([attempt; 32])
        };
        assert_eq!(copy(1), "derived/default/orders/7/default/bill/dead/3");
        assert_ne!(copy(1), reply.derived_id([1; 32]));
    }

    #[test]
    fn an_attempt_publishes_so_many_events_and_no_more() {
        let cause = of(Cause::subscriber);
        assert!(!cause.may_publish(EMISSIONS_MAX + 1), "one batch does not get round it");
        assert!(cause.may_publish(EMISSIONS_MAX - 1));
        assert!(cause.reply().may_publish(1), "the reply is one of them");
        assert!(!cause.may_publish(1) && !cause.reply().may_publish(1));
        assert!(cause.may_publish(0));
        assert!(of(Cause::subscriber).may_publish(1), "each attempt counts by itself");
    }
}
