//! Which Issuers count for whom: those of the target's namespace and those of `weft-system`. Worked out once when Issuers
//! change, so that a call costs one look-up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use http::HeaderMap;
use weft_functions::issuer::Issuer as Resource;
use weft_functions::manifest::SYSTEM_NAMESPACE;
use weft_functions::value::{Name, Namespaced};

use super::carried::{self, Place};
use super::issuer::Issuer;
use super::refusal::Refusal;

/// The Issuers that count in some namespaces.
pub(super) struct View {
    /// Changes with what it holds.
    pub(super) id: u64,
    /// Where they let requests carry tokens. Places in one header are ordered by their prefix, longest first.
    pub(super) places: Vec<Place>,
    /// Those of `weft-system` first: what the whole mesh believes is not for a namespace to say otherwise.
    issuers: Vec<Arc<Issuer>>,
}

/// The views of all namespaces.
#[derive(Default)]
pub(super) struct Views {
    issuers: BTreeMap<Namespaced, Arc<Issuer>>,
    namespaces: HashMap<Name, Arc<View>>,
    /// That of namespaces that have no Issuer of their own, if `weft-system` has one.
    everywhere: Option<Arc<View>>,
    last_id: u64,
}

impl View {
    fn new(id: u64, issuers: Vec<Arc<Issuer>>) -> Self {
        let mut places: Vec<Place> = Vec::new();
        for place in issuers.iter().flat_map(|issuer| &issuer.places) {
            if !places.contains(place) {
                places.push(place.clone());
            }
        }
        places.sort_by_key(|place| std::cmp::Reverse(place.prefix.len()));
        Self { id, places, issuers }
    }

    /// The token among `headers` and the index of its place.
    pub(super) fn find<'a>(&self, headers: &'a HeaderMap) -> Result<Option<(usize, &'a [u8])>, Refusal> {
        carried::find(&self.places, headers)
    }

    /// The Issuers of tokens with this `iss` that look for them in this place.
    pub(super) fn claimants(&self, iss: &str, place: usize) -> impl Iterator<Item = &Arc<Issuer>> {
        let place = &self.places[place];
        self.issuers.iter().filter(move |issuer| *issuer.rules.issuer == *iss && issuer.places.contains(place))
    }

    /// Whether `<iss>/<sub>` of one Issuer could be that of another: `https://id` may call somebody `team/ann`, whom policies
    /// could not tell from `ann` of `https://id/team`. The longer name has it.
    pub(super) fn is_anothers(&self, subject: &str, issuer: &Issuer) -> bool {
        self.issuers.iter().map(|other| &other.rules.issuer).any(|other| {
            let names = subject.strip_prefix(&**other).is_some_and(|rest| rest.starts_with('/'));
            names && other.len() > issuer.rules.issuer.len()
        })
    }

    fn holds(&self, issuers: &[Arc<Issuer>]) -> bool {
        self.issuers.len() == issuers.len() && self.issuers.iter().zip(issuers).all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

impl Views {
    /// The view of calls to `namespace`; nothing if no Issuer counts there.
    pub(super) fn of(&self, namespace: &Name) -> Option<&Arc<View>> {
        self.namespaces.get(namespace).or(self.everywhere.as_ref())
    }

    /// The ids of all views.
    pub(super) fn ids(&self) -> HashSet<u64> {
        self.namespaces.values().chain(&self.everywhere).map(|view| view.id).collect()
    }

    /// The views of `resources`; nothing if they are the same. An Issuer whose spec did not change stays the same one, and a
    /// view whose Issuers are the same keeps its id.
    pub(super) fn succeeded_by<'a>(
        &self,
        resources: impl IntoIterator<Item = &'a Resource>,
        make: impl Fn(&Resource, Option<Name>) -> Issuer,
    ) -> Option<Self> {
        let mut issuers = BTreeMap::new();
        let mut changed = false;
        for resource in resources {
            let name = resource.metadata.namespaced();
            let same = self.issuers.get(&name).filter(|issuer| issuer.spec == resource.spec);
            changed |= same.is_none();
            let scope = (name.namespace.as_str() != SYSTEM_NAMESPACE).then(|| name.namespace.clone());
            let issuer = same.cloned().unwrap_or_else(|| Arc::new(make(resource, scope)));
            issuers.insert(name, issuer);
        }
        if !changed && issuers.len() == self.issuers.len() {
            return None;
        }
        Some(self.next(issuers))
    }

    fn next(&self, issuers: BTreeMap<Namespaced, Arc<Issuer>>) -> Self {
        let (mut system, mut own) = (Vec::new(), BTreeMap::<&Name, Vec<_>>::new());
        for (name, issuer) in &issuers {
            match name.namespace.as_str() {
                SYSTEM_NAMESPACE => system.push(issuer.clone()),
                _ => own.entry(&name.namespace).or_default().push(issuer.clone()),
            }
        }
        let mut last_id = self.last_id;
        let mut view = |before: Option<&Arc<View>>, issuers: Vec<Arc<Issuer>>| {
            if let Some(same) = before.filter(|before| before.holds(&issuers)) {
                return same.clone();
            }
            last_id += 1;
            Arc::new(View::new(last_id, issuers))
        };
        let mut namespaces = HashMap::new();
        for (namespace, own) in own {
            let all = system.iter().cloned().chain(own).collect();
            namespaces.insert(namespace.clone(), view(self.namespaces.get(namespace), all));
        }
        let everywhere = (!system.is_empty()).then(|| view(self.everywhere.as_ref(), system));
        Self { issuers, namespaces, everywhere, last_id }
    }
}
