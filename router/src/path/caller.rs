//! Who is behind a call, and how we know. Made in three places only: at the edge from a certificate and a token, by the
//! node for the functions and triggers that it runs, and from a stored envelope whose proof holds. Never from a header,
//! an attribute or a body.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};
use weft_functions::value::Name;

use super::spiffe::SpiffeId;

/// Who is behind a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who emitted this message. On a delivery: the event's publisher.
    pub principal: Principal,
    /// Who began the chain.
    pub origin: Principal,
    /// The trigger or function it came through, if it did not come straight from the principal.
    pub via: Option<Principal>,
    /// How the principal was proven.
    pub how: Proof,
    /// What the principal's verified token says, if it showed one.
    pub token: Option<Arc<Token>>,
    /// The address of the connection that the call came by; `None` for what began inside the mesh.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// A caller that begins a chain.
    pub fn direct(principal: Principal, how: Proof) -> Self {
        Self { origin: principal.clone(), principal, via: None, how, token: None, address: None }
    }

    /// Something that the node runs and speaks for, acting in a chain that `origin` began.
    pub fn run_here(id: SpiffeId, origin: Principal, via: Principal) -> Self {
        Self { principal: id.into(), origin, via: Some(via), how: Proof::Node, token: None, address: None }
    }

    /// A trigger that acts on an event for whoever published it: reads it, leaves the mesh with it, copies it.
    pub fn acting_for(trigger: SpiffeId, publisher: &Self) -> Self {
        Self::run_here(trigger, publisher.origin.clone(), publisher.principal.clone())
    }

    /// Puts a verified token beside what the connection proved. It is who calls only if the connection proved nothing:
    /// a certificate and a token that differ are both there for policy to see, and neither stands for the other.
    pub fn show(&mut self, token: Arc<Token>) {
        if self.principal == Principal::Anonymous {
            self.principal = Principal::Subject(token.subject.clone());
            self.origin = self.principal.clone();
            self.how = Proof::Jwt;
        }
        self.token = Some(token);
    }

    /// A caller of whom nothing is known (yet).
    pub fn nobody() -> Self {
        Self::direct(Principal::Anonymous, Proof::None)
    }
}

/// Somebody whose identity was verified, or nobody. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// A workload, from its certificate, or as the node asserts it for what it runs. What `principals` and `origins` of
    /// policies name.
    Workload(SpiffeId),
    /// The subject of a verified token, of a caller that showed no certificate.
    Subject(Subject),
    /// Neither: a caller that showed nothing.
    Anonymous,
}

/// `<iss>/<sub>` of a verified token, and where that counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// `<iss>/<sub>`.
    pub text: Arc<str>,
    /// The namespace of the Issuer that vouches for it; `None` for one of `weft-system`, which counts everywhere. What
    /// one namespace's Issuer says means nothing to another.
    pub scope: Option<Name>,
}

impl Subject {
    /// Whether it means anything in `namespace`.
    pub fn counts_in(&self, namespace: &Name) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope == namespace)
    }
}

impl Principal {
    /// The identity as text; `anonymous` for nobody, which no identity looks like.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Workload(id) => id.as_str(),
            Self::Subject(subject) => &subject.text,
            Self::Anonymous => "anonymous",
        }
    }

    /// The workload, if it is one.
    pub fn workload(&self) -> Option<&SpiffeId> {
        match self {
            Self::Workload(id) => Some(id),
            Self::Subject(_) | Self::Anonymous => None,
        }
    }
}

impl From<SpiffeId> for Principal {
    fn from(id: SpiffeId) -> Self {
        Self::Workload(id)
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a principal was proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Proof {
    /// By a client certificate.
    Mtls,
    /// By a token alone.
    Jwt,
    /// The node runs it: a function, a trigger.
    Node,
    /// By an event's stored envelope.
    Event,
    /// Everybody on loopback is the same in `weft dev`.
    Dev,
    /// By the permissions of the admin unix socket.
    Socket,
    /// Not at all.
    None,
}

impl Proof {
    /// Every way.
    pub const ALL: [Self; 7] = [Self::Mtls, Self::Jwt, Self::Node, Self::Event, Self::Dev, Self::Socket, Self::None];

    /// The word in explanations, logs and envelopes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mtls => "mtls",
            Self::Jwt => "jwt",
            Self::Node => "node",
            Self::Event => "signed-event",
            Self::Dev => "dev",
            Self::Socket => "socket",
            Self::None => "none",
        }
    }
}

/// What a verified token says. Kept whole at the edge; of one that comes back from an envelope only the claims that the
/// Topic keeps are left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// `<iss>/<sub>` and where it counts.
    pub subject: Subject,
    /// `aud`.
    pub audiences: Vec<Arc<str>>,
    /// `azp`: to whom it was given.
    pub presenter: Option<Arc<str>>,
    /// All claims.
    pub claims: Map<String, Value>,
    /// The claims that the Issuer passes on to functions (`passClaims`).
    pub pass: Vec<Arc<str>>,
    /// When it expires, in seconds since 1970. Judged at admission: a later expiry does not undo an admitted event.
    pub expires: u64,
}

/// A workload of which a test says that it was verified.
#[cfg(test)]
pub(crate) fn workload(id: &str) -> Principal {
    Principal::Workload(id.parse().expect("a SPIFFE id"))
}
