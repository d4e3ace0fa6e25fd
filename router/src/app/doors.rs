//! Where a node listens, and who its callers are there. Separate because it is all that `weft dev` and `weft serve` differ
//! in at the edge: everything is bound and every certificate is there before anything else is opened, so that a node that
//! cannot listen has touched nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use tokio::net::TcpListener;
use weft_eventlog::Clock;
use weft_functions::manifest::SYSTEM_NAMESPACE;
use weft_functions::value::Name;

use super::{Settings, Way};
use crate::config::file::Listen;
use crate::control::admin::{Door, Mode, NodeInfo};
use crate::edge::identity::{Authenticate, ByCertificate, Credentials, Everybody};
use crate::edge::listener::Listener;
use crate::edge::tls::keyring::{Clients, Keyring};
use crate::edge::tls::source::{self, Source, Supply};
use crate::path::caller::{Caller, Principal};
use crate::path::outcome::Failure;
use crate::path::spiffe::TrustDomain;

/// What a node without a name of its own is called.
const NAMELESS: &str = "node";

/// The host's name, as Linux tells it.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Who callers are, by mode.
#[derive(Debug, Clone)]
pub(super) enum Callers {
    Everybody(Everybody),
    ByCertificate(ByCertificate),
}

impl Authenticate for Callers {
    fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Failure> {
        match self {
            Self::Everybody(everybody) => everybody.authenticate(credentials),
            Self::ByCertificate(by_certificate) => by_certificate.authenticate(credentials),
        }
    }
}

/// Everything that was bound.
pub(super) struct Doors {
    pub(super) calls: Vec<Listener>,
    pub(super) callers: Callers,
    pub(super) admin: Vec<Door>,
    /// Where certificates come from, if there are any.
    pub(super) supply: Option<Supply>,
    pub(super) info: NodeInfo,
}

impl Doors {
    /// Binds everything.
    pub(super) async fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        match &settings.way {
            Way::Dev { http, admin, folder, identity } => {
                let taken = |address, flag| format!("cannot listen on {address}; choose another with {flag}");
                let calls = Listener::bind(http).await.with_context(|| taken(http, "--http"))?;
                let socket = TcpListener::bind(admin).await.with_context(|| taken(admin, "--admin"))?;
                let everybody = Principal::Workload(identity.clone());
                let admin = Door::Loopback(socket, everybody.clone());
                let info = NodeInfo {
                    mode: Mode::Dev,
                    http: Some(calls.local_addr()),
                    mtls: None,
                    tls: None,
                    admin: admin.address(),
                    identity: identity.to_string(),
                    folder: Some(folder.clone()),
                };
                let callers = Callers::Everybody(Everybody(everybody));
                Ok(Self { calls: vec![calls], callers, admin: vec![admin], supply: None, info })
            }
            Way::Serve { listen, identity, default: _ } => Self::of_node(settings, listen, identity, clock).await,
        }
    }

    async fn of_node(
        settings: &Settings,
        listen: &Listen,
        identity: &Source,
        clock: &Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let trust_domain = &settings.trust_domain;
        let node = source::Node {
            trust_domain: trust_domain.clone(),
            domain: settings.domain.clone(),
            id: trust_domain.node(&host_name()?),
        };
        let supply = Supply::open(identity, &node, Arc::clone(clock)).await.context("the node has no identity")?;
        let keyring = supply.keyring();
        let (mut calls, mut addresses) = (Vec::new(), [None; 3]);
        let ways = [
            (listen.mtls, "listen.mtls", Some(Clients::MustProve)),
            (listen.tls, "listen.tls", Some(Clients::Anonymous)),
            (listen.plain, "listen.plain", None),
        ];
        for ((address, key, clients), bound) in ways.into_iter().zip(&mut addresses) {
            let Some(address) = address else { continue };
            let listener = bind(address, key).await?;
            let listener = match clients {
                Some(clients) => listener.secured(Arc::clone(&keyring), clients)?,
                None => listener,
            };
            *bound = Some(listener.local_addr());
            calls.push(listener);
        }
        let admin = admin_doors(listen, trust_domain, &keyring).await?;
        let [mtls, tls, http] = addresses;
        let info = NodeInfo {
            mode: Mode::Serve,
            http,
            mtls,
            tls,
            admin: admin.iter().map(Door::address).collect::<Vec<_>>().join(", "),
            identity: keyring.own().map(|own| own.id().to_string()).unwrap_or_default(),
            folder: None,
        };
        Ok(Self { calls, callers: Callers::ByCertificate(ByCertificate), admin, supply: Some(supply), info })
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<Listener> {
    Listener::bind(address).await.with_context(|| format!("cannot listen on {address}; see {key}"))
}

async fn admin_doors(listen: &Listen, trust_domain: &TrustDomain, keyring: &Arc<Keyring>) -> anyhow::Result<Vec<Door>> {
    let admin = trust_domain.client(&SYSTEM_NAMESPACE.parse()?, &"admin".parse()?);
    let path = &listen.admin;
    let socket = Door::socket(path, Principal::Workload(admin)).await;
    let mut doors = vec![socket.with_context(|| {
        format!("cannot open the socket {}; see listen.admin, and whether another node runs", path.display())
    })?];
    if let Some(address) = listen.admin_mtls {
        let door = Door::tls(address, Arc::clone(keyring)).await;
        doors.push(door.with_context(|| format!("cannot listen on {address}; see listen.adminMtls"))?);
    }
    Ok(doors)
}

/// The first label of the host's name, if that can be a name here.
fn host_name() -> anyhow::Result<Name> {
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default().to_ascii_lowercase();
    let label = host.trim().split('.').next().unwrap_or_default();
    label.parse().or_else(|_| NAMELESS.parse()).context("the node has no name")
}
