//! The only place that dials outside. A name is resolved once, each address is checked against what the caller may
//! reach, and a checked address is what is dialled, so a name cannot turn into a private address between the two.

mod document;
mod reach;

use std::error::Error;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use weft_runtime::{Body, BodyError, BodyErrorKind};

pub use self::document::{Document, Documents};
use self::reach::{CheckedResolver, Unreachable};
use crate::path::call::{Call, Outside, Reach};
use crate::path::outcome::{Failure, Reason};
use crate::path::policy::Permit;

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

/// The clients for addresses outside: one that reaches public addresses only, and one for what lists its address.
pub struct Upstream {
    public: HttpClient,
    anywhere: HttpClient,
}

impl Upstream {
    /// Clients that trust the system's certificate authorities.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { public: client(Reach::Public)?, anywhere: client(Reach::Anywhere)? })
    }

    /// Sends the call and answers with what came back. Redirects are answers like any other.
    pub async fn send(&self, permit: Permit, outside: &Outside, call: Call) -> Result<http::Response<Body>, Failure> {
        let client = match outside.reach {
            Reach::Public => &self.public,
            Reach::Anywhere => &self.anywhere,
        };
        let mut request = call.request;
        if outside.reach == Reach::Public {
            reach::check_literal(request.uri().host().unwrap_or_default()).map_err(denied)?;
        }
        strip_hop_by_hop(request.headers_mut());
        *request.version_mut() = http::Version::HTTP_11;
        drop(permit);
        let sent = tokio::time::timeout_at(call.deadline, client.request(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(failure(&error, outside)),
            Err(_) => {
                let log = format!("{} did not answer in time", outside.authority);
                return Err(Failure::hidden(Reason::UpTimeout, log));
            }
        };
        let (mut head, body) = response.into_parts();
        strip_hop_by_hop(&mut head.headers);
        Ok(http::Response::from_parts(head, body_of(body)))
    }
}

fn client(reach: Reach) -> std::io::Result<HttpClient> {
    let mut http = HttpConnector::new_with_resolver(CheckedResolver::new(reach));
    http.set_nodelay(true);
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let https = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::aws_lc_rs::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    Ok(Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build(https))
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

fn body_of(body: Incoming) -> Body {
    body.map_err(|error| BodyError::new(BodyErrorKind::Aborted, format!("the answer broke off: {error}")))
        .boxed_unsync()
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
    Failure::hidden(reason, format!("calling {}: {why}", outside.authority))
}

fn denied(unreachable: Unreachable) -> Failure {
    Failure::hidden(Reason::EgressDenied, unreachable.to_string())
}
