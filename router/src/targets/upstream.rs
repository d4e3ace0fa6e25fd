//! The only place that dials outside. A name is resolved once, each address is checked against what the caller may
//! reach, and a checked address is what is dialled, so a name cannot turn into a private address between the two.
//! Redirects are answers like any other: who follows one makes another call, which is judged again.

mod document;
mod lookup;
mod mesh_nodes;
mod reach;
mod slots;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use weft_runtime::{Body, BodyError, BodyErrorKind};

pub use self::document::{Document, Documents};
use self::lookup::{Lookup, SystemLookup};
use self::mesh_nodes::MeshNodes;
use self::reach::{Allowed, CheckedResolver, Unreachable};
use self::slots::{Slot, Slots};
use crate::path::call::{Call, Outside, Reach};
use crate::path::outcome::{Failure, Reason};
use crate::path::policy::Permit;
use crate::path::spiffe::TrustDomain;
use crate::targets::mesh_tls::MeshTls;

/// How long opening a connection may take. Istio's default is 10 s too.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections kept open to one address when nothing is asked of it.
const IDLE_CONNECTIONS: usize = 16;
/// How long they are kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that belong to one connection (RFC 9110, section 7.6.1) and so never pass through.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

type HttpClient = Client<HttpsConnector<HttpConnector<CheckedResolver>>, Body>;

/// The clients for addresses outside: one for each way in which addresses are allowed, so that no connection that was
/// opened by one of them is used by another.
pub struct Upstream {
    public: HttpClient,
    loopback: HttpClient,
    listed: HttpClient,
    mesh: Option<MeshNodes>,
    lookup: Arc<dyn Lookup>,
    slots: Slots,
}

impl Upstream {
    /// Clients that trust the system's certificate authorities and ask its resolver.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new() -> std::io::Result<Self> {
        Self::with(Arc::new(SystemLookup::default()))
    }

    fn with(lookup: Arc<dyn Lookup>) -> std::io::Result<Self> {
        Ok(Self {
            public: client(CheckedResolver::new(Allowed::Public, lookup.clone()))?,
            loopback: client(CheckedResolver::new(Allowed::Loopback, lookup.clone()))?,
            listed: client(CheckedResolver::new(Allowed::NoName, lookup.clone()))?,
            mesh: None,
            lookup,
            slots: Slots::default(),
        })
    }

    /// One for which every name has this address.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    #[cfg(test)]
    pub(crate) fn resolving_to(address: std::net::IpAddr) -> std::io::Result<Self> {
        Self::with(Arc::new(lookup::Always(address)))
    }

    /// Calls names below `domain` by TLS that proves both ends.
    #[must_use]
    pub fn within_mesh(self, domain: &str, trust_domain: TrustDomain, tls: Arc<dyn MeshTls>) -> Self {
        let mesh = MeshNodes::new(domain, trust_domain, tls, self.lookup.clone());
        Self { mesh: Some(mesh), ..self }
    }

    /// Sends the call and answers with what came back.
    pub async fn send(&self, permit: Permit, outside: &Outside, call: Call) -> Result<http::Response<Body>, Failure> {
        let reach = outside.reach.clone()?;
        let mut request = call.request;
        aimed_at(request.uri(), outside)?;
        reach::check_literal(&outside.host, reach).map_err(denied)?;
        let of_caller;
        let client = match (&self.mesh, reach) {
            (Some(mesh), _) if mesh.cover(&outside.host) => {
                of_caller = mesh.client(outside, request.uri())?;
                &of_caller
            }
            (_, Reach::Public) => &self.public,
            (_, Reach::Loopback) => &self.loopback,
            (_, Reach::Listed(_)) => &self.listed,
        };
        let slot = self.slots.take(&outside.owner.namespace, call.deadline).await?;
        strip_hop_by_hop(request.headers_mut());
        name_host(&mut request);
        *request.version_mut() = http::Version::HTTP_11;
        drop(permit);
        let sent = tokio::time::timeout_at(call.deadline, client.request(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(&error, outside)),
            Err(_) => return Err(Failure::hidden(Reason::UpTimeout, format!("{outside} did not answer in time"))),
        };
        let (mut head, body) = response.into_parts();
        strip_hop_by_hop(&mut head.headers);
        Ok(http::Response::from_parts(head, body_of(body, slot)))
    }
}

/// What was judged must be what is dialled.
fn aimed_at(uri: &http::Uri, outside: &Outside) -> Result<(), Failure> {
    let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    if uri.host().is_some_and(|host| host == &*outside.host) && port == outside.port {
        return Ok(());
    }
    Err(Failure::hidden(Reason::Internal, format!("a call to {outside} is aimed elsewhere")))
}

/// Host is the target's authority, whatever the caller wrote: another one would reach another site at the same address.
fn name_host(request: &mut http::Request<Body>) {
    let authority = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    match authority {
        Some(authority) => drop(request.headers_mut().insert(header::HOST, authority)),
        None => drop(request.headers_mut().remove(header::HOST)),
    }
}

/// A client that trusts the system's certificate authorities.
fn client(resolver: CheckedResolver) -> std::io::Result<HttpClient> {
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1();
    Ok(pooled(https.wrap_connector(connector(resolver))))
}

fn connector(resolver: CheckedResolver) -> HttpConnector<CheckedResolver> {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http
}

fn pooled(connector: HttpsConnector<HttpConnector<CheckedResolver>>) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(connector)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // `Connection` names further headers of its connection.
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    headers.remove("proxy-connection");
}

/// The answer's body; the call is on its way until it is read or dropped.
fn body_of(body: Incoming, slot: Slot) -> Body {
    let broken = |error| BodyError::new(BodyErrorKind::Aborted, format!("the answer broke off: {error}"));
    slots::Held::new(body.map_err(broken), slot).boxed_unsync()
}

fn failure(error: &legacy::Error, outside: &Outside) -> Failure {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(unreachable) = cause.downcast_ref::<Unreachable>() {
            return denied(unreachable.clone());
        }
        source = cause.source();
    }
    let reason = if error.is_connect() { Reason::UpConnect } else { Reason::UpReset };
    let why = error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"));
    Failure::hidden(reason, format!("calling {outside}: {why}"))
}

fn denied(unreachable: Unreachable) -> Failure {
    Failure::hidden(Reason::EgressDenied, unreachable.to_string())
}

#[cfg(test)]
mod tests;
