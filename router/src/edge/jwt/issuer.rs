//! One Issuer in force: what it asks of tokens, where requests carry them, and where its keys are.

use std::sync::Arc;

use weft_functions::issuer::{Issuer as Resource, IssuerSpec, KeySource};
use weft_functions::value::Name;

use super::carried::Place;
use super::claims::Rules;
use super::keys::{Key, KeySet};
use super::remote::{Fetch, Lookup, May, Remote};

/// An Issuer in force. One whose spec changes is another one: what was verified by it before counts no more.
pub(super) struct Issuer {
    pub(super) spec: IssuerSpec,
    pub(super) rules: Rules,
    pub(super) places: Vec<Place>,
    keys: Keys,
}

enum Keys {
    /// Those of the manifest.
    Inline(KeySet),
    /// Those at an address.
    Remote(Arc<Remote>),
}

/// Makes what fetches the keys at an address; `true` if it may be a private one.
pub(super) type Fetcher = dyn Fn(&http::Uri, bool) -> Box<dyn Fetch> + Send + Sync;

impl Issuer {
    /// The Issuer as `resource` describes it, vouching for calls to `scope`, or to everything.
    pub(super) fn new(resource: &Resource, scope: Option<Name>, fetcher: &Fetcher) -> Self {
        let (spec, name) = (resource.spec.clone(), resource.metadata.namespaced().to_string());
        let keys = match &spec.keys {
            KeySource::Inline(keys) => Keys::Inline(inline(&name, &keys.json().to_string(), &spec)),
            KeySource::Uri(uri) => {
                let source = fetcher(uri, spec.allow_private);
                Keys::Remote(Remote::new(name, source, spec.algorithms.clone()))
            }
        };
        let places = spec.from_headers.iter().filter_map(Place::new).collect();
        Self { rules: Rules::new(&spec, scope), places, keys, spec }
    }

    /// The key that a token names.
    pub(super) fn find(&self, kid: Option<&str>, may: May) -> Lookup {
        match &self.keys {
            Keys::Inline(keys) => keys.find(kid).cloned().map_or(Lookup::Unknown, Lookup::Found),
            Keys::Remote(remote) => remote.find(kid, may),
        }
    }

    /// Whether what `key` verified before still counts.
    pub(super) fn counts(&self, key: &Key) -> bool {
        match &self.keys {
            Keys::Inline(_) => true,
            Keys::Remote(remote) => key.is_live() && remote.counts(),
        }
    }
}

/// A set that cannot be used takes no tokens; the manifest's own checks leave only few ways to write one.
fn inline(name: &str, text: &str, spec: &IssuerSpec) -> KeySet {
    let keys = KeySet::parse(text.as_bytes(), &spec.algorithms).unwrap_or_else(|error| {
        tracing::error!(issuer = %name, %error, "the Issuer's keys cannot be used; none of its tokens is taken");
        KeySet::default()
    });
    for why in &keys.left_out {
        tracing::warn!(issuer = %name, key = %why, "a key of the Issuer is left out");
    }
    keys
}
