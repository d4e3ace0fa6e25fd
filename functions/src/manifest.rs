//! Manifests: YAML or JSON text in, checked resources or every mistake out.
//!
//! `serde`'s derive stops at the first mistake, so reading goes in two steps: [`tree`] turns text into values that know
//! their place, and the readers of each kind (`read.rs` beside its spec) walk that tree and collect problems instead of stopping.

mod agreement;
mod document;
mod findings;
mod problem;
mod reader;
mod references;
mod source;
mod suggest;
mod tree;
mod within;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

pub use document::{FILE_BYTES_MAX, parse, read_settings};
pub use findings::Findings;
pub(crate) use problem::Place;
pub use problem::{Code, Problem};
pub use reader::{Field, Section};
pub use references::check_references;
pub(crate) use references::{Reference, Role};
pub use source::{Location, SourceFile};
pub(crate) use suggest::nearest;

use crate::function::Function;
use crate::issuer::Issuer;
use crate::namespace::Namespace;
use crate::policy::Policy;
use crate::topic::Topic;
use crate::trigger::Trigger;
use crate::value::{Name, Namespaced, ValueError};

/// The one version of the manifests' language.
pub const API_VERSION: &str = "weft.dev/v1alpha1";

/// The namespace whose policies bind the whole mesh.
pub const SYSTEM_NAMESPACE: &str = "weft-system";

/// Name and namespace of a resource. Those of a [`Namespace`] are the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The name, unique among resources of its kind and namespace.
    pub name: Name,
    /// The namespace; `default` when the manifest names none.
    pub namespace: Name,
}

/// A checked resource of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A WebAssembly function.
    Function(Function),
    /// A durable log of events.
    Topic(Topic),
    /// A join of topic, filters and destination.
    Trigger(Trigger),
    /// Who may do what. Shared, because every snapshot holds all of it.
    Policy(Arc<Policy>),
    /// What holds in a namespace, and how much it may use.
    Namespace(Namespace),
    /// Whose tokens count.
    Issuer(Issuer),
}

/// The kinds of resources of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `Function`
    Function,
    /// `Topic`
    Topic,
    /// `Trigger`
    Trigger,
    /// `Policy`
    Policy,
    /// `Namespace`
    Namespace,
    /// `Issuer`
    Issuer,
}

/// What identifies a resource. Ordered by kind, namespace, name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId {
    /// The kind.
    pub kind: Kind,
    /// The namespace.
    pub namespace: Name,
    /// The name.
    pub name: Name,
}

impl Resource {
    /// Kind, namespace and name.
    pub fn id(&self) -> ResourceId {
        let Metadata { name, namespace } = self.metadata();
        ResourceId { kind: self.kind(), namespace: namespace.clone(), name: name.clone() }
    }

    /// The kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Function(_) => Kind::Function,
            Self::Topic(_) => Kind::Topic,
            Self::Trigger(_) => Kind::Trigger,
            Self::Policy(_) => Kind::Policy,
            Self::Namespace(_) => Kind::Namespace,
            Self::Issuer(_) => Kind::Issuer,
        }
    }

    /// Name and namespace.
    pub fn metadata(&self) -> &Metadata {
        match self {
            Self::Function(function) => &function.metadata,
            Self::Topic(topic) => &topic.metadata,
            Self::Trigger(trigger) => &trigger.metadata,
            Self::Policy(policy) => &policy.metadata,
            Self::Namespace(namespace) => &namespace.metadata,
            Self::Issuer(issuer) => &issuer.metadata,
        }
    }

    /// Where its document begins.
    pub fn location(&self) -> &Location {
        match self {
            Self::Function(function) => &function.location,
            Self::Topic(topic) => &topic.location,
            Self::Trigger(trigger) => &trigger.location,
            Self::Policy(policy) => &policy.location,
            Self::Namespace(namespace) => &namespace.location,
            Self::Issuer(issuer) => &issuer.location,
        }
    }

    /// The resource as a manifest in JSON, with every default filled in. Its text reads back as the same resource.
    pub fn to_json(&self) -> Value {
        let Metadata { name, namespace } = self.metadata();
        let spec = match self {
            Self::Function(function) => function.spec.to_json(),
            Self::Topic(topic) => topic.spec.to_json(),
            Self::Trigger(trigger) => trigger.spec.to_json(namespace),
            Self::Policy(policy) => policy.spec.to_json(),
            Self::Namespace(namespace) => namespace.spec.to_json(),
            Self::Issuer(issuer) => issuer.spec.to_json(),
        };
        json!({
            "apiVersion": API_VERSION,
            "kind": self.kind().as_str(),
            "metadata": { "name": name, "namespace": namespace },
            "spec": spec,
        })
    }

    /// Reads back what [`Self::to_json`] wrote, for a document that stands at `location`; mistakes in its parts are
    /// reported there. Not through text: what a file of manifests may not exceed, its JSON may.
    ///
    /// # Errors
    /// Every mistake, if another version wrote it; at least one.
    pub fn from_json(json: &Value, location: Location) -> Result<Self, Vec<Problem>> {
        document::from_json(json, location)
    }

    /// The resources that this one names.
    pub(crate) fn references(&self) -> &[Reference] {
        match self {
            Self::Function(_) | Self::Topic(_) | Self::Namespace(_) | Self::Issuer(_) => &[],
            Self::Trigger(trigger) => &trigger.references,
            Self::Policy(policy) => &policy.references,
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Function, Self::Topic, Self::Trigger, Self::Policy, Self::Namespace, Self::Issuer];

    /// The word in a manifest: `Function`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "Function",
            Self::Topic => "Topic",
            Self::Trigger => "Trigger",
            Self::Policy => "Policy",
            Self::Namespace => "Namespace",
            Self::Issuer => "Issuer",
        }
    }

    /// The word in running text and as a key: `function`.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Topic => "topic",
            Self::Trigger => "trigger",
            Self::Policy => "policy",
            Self::Namespace => "namespace",
            Self::Issuer => "issuer",
        }
    }

    /// The word for several, as in paths of the admin API: `functions`.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Function => "functions",
            Self::Topic => "topics",
            Self::Trigger => "triggers",
            Self::Policy => "policies",
            Self::Namespace => "namespaces",
            Self::Issuer => "issuers",
        }
    }
}

impl FromStr for Kind {
    type Err = ValueError;

    /// Reads singular or plural in any case, as command lines give it.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let named =
            |kind: &Self| kind.singular().eq_ignore_ascii_case(text) || kind.plural().eq_ignore_ascii_case(text);
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let kinds = Self::ALL.map(Self::singular).join(", ");
            ValueError::new(format!("`{}` is not a kind: expected {kinds}", text.escape_debug()))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl ResourceId {
    /// Namespace and name without the kind.
    pub fn namespaced(&self) -> Namespaced {
        Namespaced::new(self.namespace.clone(), self.name.clone())
    }
}

/// `Function default/hello`
impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Metadata {
    /// Name and namespace as one value.
    pub fn namespaced(&self) -> Namespaced {
        Namespaced::new(self.namespace.clone(), self.name.clone())
    }
}

#[cfg(test)]
mod tests;
