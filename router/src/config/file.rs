//! The settings file of `weft serve`: what may stand in it, what is wrong with it, and what it comes to. Read with the same
//! care as manifests: unknown keys are refused, and every mistake is reported at once, with its line.

mod read;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weft_functions::manifest::{Problem, SourceFile, read_settings};

use crate::path::policy;
use crate::path::spiffe::TrustDomain;

/// The settings of one node: every value checked. Relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `trustDomain`: of the identities that the node asserts and expects.
    pub trust_domain: TrustDomain,
    /// `domain`: what follows `NAME.NS.` in addresses. Lower case.
    pub domain: Box<str>,
    /// `data`: where the node keeps events, modules, artifacts and what is deployed.
    pub data: PathBuf,
    /// `listen`.
    pub listen: Listen,
    /// `identity`: where the node's certificate and trust bundle come from.
    pub identity: IdentitySource,
    /// `policy.default`: what holds where no policy speaks. Default: deny.
    pub default: policy::Default,
    /// `limits`: ceilings of the node.
    pub limits: Limits,
}

/// Where the node listens. At least one of `mtls`, `tls` and `plain` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// TLS with client certificates. Default: `0.0.0.0:8443`; `null` turns it off.
    pub mtls: Option<SocketAddr>,
    /// TLS without client certificates, for callers that bring a token. Default: none.
    pub tls: Option<SocketAddr>,
    /// No TLS: a loopback address. Default: none.
    pub plain: Option<SocketAddr>,
    /// The unix socket of the admin API. Default: `/run/weft/admin.sock`.
    pub admin: PathBuf,
    /// The admin API over TLS with client certificates. Default: none.
    pub admin_mtls: Option<SocketAddr>,
}

/// Where the node's certificate and trust bundle come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    /// `ca: DIR`: the embedded authority that `weft ca init` made.
    Ca(PathBuf),
    /// `files`: PEM files that somebody else renews.
    Files {
        /// The node's certificate and the chain up to the bundle.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
        /// The roots of the trust domain.
        bundle: PathBuf,
        /// Certificates that are revoked.
        crl: Option<PathBuf>,
    },
    /// `workloadApi`: the unix socket of a SPIFFE Workload API.
    WorkloadApi(PathBuf),
}

/// Ceilings of the node. Each may be lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `connections`: at a time on one listener. Default 10,000.
    pub connections: u32,
    /// `connectionsPerSource`: at a time from one IPv4 address or IPv6 /64. Default 256.
    pub connections_per_source: u32,
    /// `drain`: how long calls and deliveries in flight may go on after SIGTERM. Default 30 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 10_000, connections_per_source: 256, drain: read::DRAIN.get() }
    }
}

/// Reads the settings file's text; `folder` is where the file stands.
///
/// # Errors
/// Every mistake.
pub fn parse(source: &SourceFile, folder: &Path) -> Result<Settings, Vec<Problem>> {
    read_settings(source, |root, out| read::settings(root, folder, out))
}

/// Whether a file of YAML is a settings file and no manifest: it says `trustDomain` and no `kind`.
pub fn is_settings(text: &str) -> bool {
    let has = |key: &str| text.lines().any(|line| line.strip_prefix(key).is_some_and(|rest| rest.starts_with(':')));
    has("trustDomain") && !has("kind") && !has("apiVersion")
}
