//! The resource `Namespace`: what holds in one namespace where no policy speaks, who may publish under which source, and
//! how much it may use.

mod read;
mod source_prefix;

use serde_json::{Map, Value, json};

pub use source_prefix::SourcePrefix;

use crate::manifest::{Location, Metadata, Place};
use crate::value::Size;

/// A namespace as a person wrote it, defaults filled in. A namespace without such a document has no quotas, any source,
/// and the node's default verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Name and namespace, which are the same: a namespace lives in itself, so that whoever may change what is in it may
    /// be allowed or denied to change it.
    pub metadata: Metadata,
    /// What was asked for.
    pub spec: NamespaceSpec,
    /// Where its document begins.
    pub location: Location,
    /// Where it says how many functions it may have, or where its spec is.
    pub(crate) functions_place: Place,
}

/// The body of a [`Namespace`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NamespaceSpec {
    /// What holds where no ALLOW policy selects a target; `None` (default): what the node says (`serve` denies, `dev`
    /// allows).
    pub default: Option<DefaultVerdict>,
    /// What the sources of events that its workloads publish must begin with; empty (default): anything.
    pub source_prefixes: Vec<SourcePrefix>,
    /// How much it may use.
    pub quotas: Quotas,
}

/// What holds where no ALLOW policy selects a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultVerdict {
    /// `deny`
    Deny,
    /// `allow`
    Allow,
}

impl DefaultVerdict {
    pub(crate) const CHOICES: [(&'static str, Self); 2] = [("deny", Self::Deny), ("allow", Self::Allow)];

    /// The word in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
        }
    }
}

/// How much a namespace may use. Defaults: `{ functions: 100, instances: 200, publishBytesPerSecond: 10Mi }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Functions: 0 to 100,000. Checked when something is applied.
    pub functions: u32,
    /// Calls at once on a node, of all its functions together: 0 to 1,000,000.
    pub instances: u32,
    /// Bytes of events published to its topics on a node, in each second: 1Ki to 1Ti.
    pub publish_bytes_per_second: Size,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { functions: 100, instances: 200, publish_bytes_per_second: Size::from_mebibytes(10) }
    }
}

impl NamespaceSpec {
    /// The spec as JSON, with defaults; reads back as the same spec.
    pub(crate) fn to_json(&self) -> Value {
        let mut spec = Map::new();
        if let Some(default) = self.default {
            spec.insert("default".into(), default.as_str().into());
        }
        if !self.source_prefixes.is_empty() {
            let prefixes = self.source_prefixes.iter().map(SourcePrefix::as_str);
            spec.insert("sourcePrefixes".into(), Value::from_iter(prefixes));
        }
        let Quotas { functions, instances, publish_bytes_per_second } = self.quotas;
        spec.insert(
            "quotas".into(),
            json!({
                "functions": functions,
                "instances": instances,
                "publishBytesPerSecond": publish_bytes_per_second,
            }),
        );
        Value::Object(spec)
    }
}
