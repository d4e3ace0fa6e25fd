//! Where the node's certificate and its trust come from, and that they are renewed in time. Each source hands what it has to
//! the [`Keyring`]; what it brings that is bad is said in the log and changes nothing: the last good state stays in force.

mod authority;
mod files;
mod watched;
mod workload_api;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weft_eventlog::Clock;

pub(super) use self::authority::half_life;

use self::authority::FromAuthority;
use self::files::FromFiles;
use self::workload_api::FromWorkloadApi;
use super::keyring::Keyring;
use super::outbound::Outbound;
use super::trust::Trust;
use crate::path::spiffe::{SpiffeId, TrustDomain};

/// How often files are looked at. A revocation must reach open connections within five seconds.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long before its end a certificate that nobody renewed is complained about, and how often.
const COMPLAIN_BEFORE: u64 = 60 * 60;
const COMPLAIN_EVERY: Duration = Duration::from_secs(10 * 60);

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An embedded authority's folder, as `weft ca init` makes it.
    Authority(PathBuf),
    /// Files that something else renews.
    Files(Files),
    /// The socket of a SPIFFE Workload API.
    WorkloadApi(PathBuf),
}

/// Paths of PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The node's certificate and what leads to the root.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The roots of the node's own trust domain.
    pub bundle: PathBuf,
    /// What their authorities revoked.
    pub crl: Option<PathBuf>,
}

/// Who the node is.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its trust domain: certificates of another are not shown.
    pub trust_domain: TrustDomain,
    /// What follows `NAME.NS.` in addresses.
    pub domain: String,
    /// Its id, where the node itself says which: with an embedded authority.
    pub id: SpiffeId,
}

/// Why there is nothing to begin with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoIdentity(pub(super) String);

/// A source that has brought its first certificate and trust.
pub struct Supply {
    keyring: Arc<Keyring>,
    outbound: Arc<Outbound>,
    from: Feed,
    clock: Arc<dyn Clock>,
}

enum Feed {
    Authority(FromAuthority),
    Files(FromFiles),
    WorkloadApi(FromWorkloadApi),
}

impl Supply {
    /// Takes the first certificate and trust from a source.
    ///
    /// # Errors
    /// It has none, or bad ones: a node does not start so.
    pub async fn open(source: &Source, node: &Node, clock: Arc<dyn Clock>) -> Result<Self, NoIdentity> {
        let keyring = Keyring::new(Arc::clone(&clock));
        let mut outbound = Outbound::new(Arc::clone(&keyring));
        let from = match source {
            Source::Authority(folder) => {
                let from = FromAuthority::open(folder, node, &keyring).await?;
                outbound = outbound.with_authority(from.authority());
                Feed::Authority(from)
            }
            Source::Files(files) => Feed::Files(FromFiles::open(files, node, &keyring).await?),
            Source::WorkloadApi(socket) => Feed::WorkloadApi(FromWorkloadApi::open(socket, node, &keyring).await?),
        };
        Ok(Self { keyring, outbound: Arc::new(outbound), from, clock })
    }

    /// What is in force.
    pub fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    /// Certificates for calls that functions make.
    pub fn outbound(&self) -> Arc<Outbound> {
        Arc::clone(&self.outbound)
    }

    /// Keeps both fresh until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { keyring, outbound: _, from, clock } = self;
        let renewed = async {
            match from {
                Feed::Authority(mut from) => loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    from.look(&keyring).await;
                },
                Feed::Files(mut from) => loop {
                    tokio::time::sleep(LOOK_EVERY).await;
                    from.look(&keyring).await;
                },
                Feed::WorkloadApi(from) => from.run(&keyring).await,
            }
        };
        tokio::select! {
            () = renewed => {}
            () = complain(&keyring, clock.as_ref()) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// Says for ever what is old, for as long as it is: whoever should have renewed it has not.
async fn complain(keyring: &Keyring, clock: &dyn Clock) {
    loop {
        for complaint in complaints(keyring, clock.now_ms() / 1000) {
            alarm(&complaint);
        }
        tokio::time::sleep(COMPLAIN_EVERY).await;
    }
}

/// What of that which is in force is old; `now` is in seconds since 1970.
fn complaints(keyring: &Keyring, now: u64) -> Vec<String> {
    let left = keyring.own().map(|own| own.not_after().saturating_sub(now));
    let ends = left.filter(|left| *left < COMPLAIN_BEFORE);
    let ends =
        ends.map(|left| format!("the node's certificate ends in {left} s and was not renewed; see to its source"));
    ends.into_iter().chain(late_lists(&keyring.trust(), now)).collect()
}

fn late_lists(trust: &Trust, now: u64) -> Option<String> {
    let late = trust.lists_due().filter(|due| *due < now).map(|due| now - due)?;
    Some(format!(
        "a list of revoked certificates should have been renewed {late} s ago; what it names is refused, and what was \
         revoked since is not: see to its source"
    ))
}

/// What an operator must see to. What was in force stays in force.
fn alarm(what: &str) {
    tracing::error!(alarm = "identity", "{what}");
}

/// Changes the trust in force, and says so.
async fn rely_on(keyring: &Keyring, trust: Trust) {
    let said = format!("{trust:?}");
    if let Some(complaint) = late_lists(&trust, keyring.now().as_secs()) {
        alarm(&complaint);
    }
    let cut = keyring.rely_on(trust).await;
    tracing::info!(connections_cut = cut, "trust changed: {said}");
}

#[cfg(test)]
mod tests;
