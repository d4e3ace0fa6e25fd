//! A mesh for tests of what uses one: nothing is deployed in it, and everything is allowed.

use std::sync::Arc;

use tokio::time::Instant;
use weft_eventlog::{Clock, EventLog, MemoryLog, Start, SystemClock, TopicConfig};
use weft_functions::manifest::{Resource, SourceFile, parse};
use weft_functions::value::Name;

use super::Mesh;
use super::decision::DecisionIds;
use super::envelope::Envelopes;
use super::envelope::keys::KeyRing;
use super::policy::{Default, PolicyIndex};
use super::record::Records;
use super::refusals::Refusals;
use super::routes::Names;
use super::snapshot::{DeployedTopic, DeployedTrigger, Snapshot};
use super::tokens::{Tokens, Verification};
use crate::targets::backend::Backend;
use crate::targets::upstream::Upstream;
use crate::telemetry::metrics::Metrics;

/// Names as `weft dev` has them.
pub(crate) fn names() -> Names {
    let trust_domain = "weft.local".parse().expect("a trust domain");
    Names { domain: "localhost".into(), trust_domain, loopback_topics: true }
}

/// A mesh in which everything is allowed and nothing exists.
pub(crate) fn mesh() -> Arc<Mesh> {
    mesh_with(Upstream::new().expect("the system's certificates"))
}

/// The same with another way out.
pub(crate) fn mesh_with(upstream: Upstream) -> Arc<Mesh> {
    let everything = Snapshot::of_policy(1, PolicyIndex::new(Default::Allow, Vec::new()));
    mesh_of(everything, upstream)
}

/// A mesh that begins with `snapshot`.
pub(crate) fn mesh_of(snapshot: Snapshot, upstream: Upstream) -> Arc<Mesh> {
    let metrics = Arc::new(Metrics::new().expect("metrics"));
    let (refusals, _nobody_writes) = Refusals::new(metrics.clone());
    let envelopes = Envelopes::new(KeyRing::new(0, &[7; 40]), names().trust_domain, Arc::new(SystemClock));
    Mesh::new(
        snapshot,
        Records::new(DecisionIds::new([7; 16], 1), metrics, Arc::new(SystemClock), refusals),
        Arc::new(envelopes),
        Backend::Runtime,
        upstream,
        names(),
        Arc::new(NoTokens),
    )
}

/// Nobody shows a token.
struct NoTokens;

impl Tokens for NoTokens {
    fn verify(&self, _: &Name, _: &http::HeaderMap) -> Verification {
        Verification::Done(Ok(None))
    }
}

/// A snapshot of the policies in these documents.
pub(crate) fn snapshot(number: u64, default: Default, documents: &str) -> Snapshot {
    let resources = match documents {
        "" => Vec::new(),
        text => parse(&[SourceFile::new("app.yaml", text)]).expect("policies"),
    };
    let policies = resources.into_iter().filter_map(|resource| match resource {
        Resource::Policy(policy) => Some(policy),
        _ => None,
    });
    Snapshot::of_policy(number, PolicyIndex::new(default, policies))
}

/// Deploys the topics and triggers of these documents, with what is theirs in `log`.
pub(crate) async fn deploy(snapshot: &mut Snapshot, log: &MemoryLog, documents: &str) {
    for resource in parse(&[SourceFile::new("app.yaml", documents)]).expect("resources") {
        match resource {
            Resource::Topic(resource) => {
                let name = resource.metadata.namespaced();
                let log = log.topic(&name.to_string(), TopicConfig::default()).await.expect("a topic");
                snapshot
                    .topics
                    .insert(name.clone(), Arc::new(DeployedTopic { resource, name, log, series: Arc::default() }));
            }
            Resource::Trigger(resource) => {
                let name = resource.metadata.namespaced();
                let topic = resource.spec.topic.clone();
                let consumer =
                    log.consumer(&name.to_string(), &topic.to_string(), Start::End).await.expect("a consumer");
                let identity = names().trust_domain.trigger(&name);
                let (circuit, again) = std::default::Default::default();
                let deployed =
                    DeployedTrigger { resource, name: name.clone(), topic, identity, consumer, circuit, again };
                snapshot.triggers.insert(name, Arc::new(deployed));
            }
            other => panic!("not needed here: {other:?}"),
        }
    }
}

/// When virtual time begins, Unix milliseconds.
pub(crate) const BEGIN_MS: u64 = 1_800_000_000_000;

/// The time of day that goes with tokio's clock, from when that showed this.
pub(crate) struct Virtual(pub(crate) Instant);

impl Clock for Virtual {
    fn now_ms(&self) -> u64 {
        BEGIN_MS + self.0.elapsed().as_millis() as u64
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
