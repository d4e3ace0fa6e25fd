//! The admin API, version 1: JSON over HTTP on a listener of its own. The command line is its client; operators have
//! `/healthz`, `/readyz` and `/metrics` here. It reads what is deployed and asks `deployments` for changes; it decides
//! nothing itself: who may do what is policy's to say, at the `desk`.

mod dead;
mod deploy;
mod desk;
mod door;
mod events;
mod explain;
mod guard;
mod jobs;
mod node;
mod refusal;
mod resources;
mod rights;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http::HeaderName;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use self::door::Door;
use self::door::Visitor;
pub use self::guard::Guard;
use self::refusal::Refusal;
use super::deployments::Deployments;
use super::explain::Explainer;
use super::jobs::Jobs;
use super::modules::ModuleStore;
use super::readiness::Readiness;
use super::scale_log::ScaleLog;
use crate::path::Mesh;
use crate::path::envelope::Envelopes;
use crate::path::routes::Names;
use crate::path::snapshot::Snapshot;

/// The header that says which version of the API answered.
const API_HEADER: HeaderName = HeaderName::from_static("x-weft-api");

/// Connections at once. An operator, a scraper and some `weft tail` need a handful.
const CONNECTIONS_MAX: usize = 256;

/// How long a request's head may take.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Header fields of a request.
const HEADERS_MAX: usize = 100;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Pause after a failed accept, such as for want of file descriptors, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long requests may go on after shutdown began.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `weft dev`.
    Dev,
    /// `weft serve`.
    Serve,
}

/// What a node says of itself.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// How it runs.
    pub mode: Mode,
    /// Where it takes calls without TLS.
    pub http: Option<SocketAddr>,
    /// Where it takes calls with a client's certificate.
    pub mtls: Option<SocketAddr>,
    /// Where it takes calls over TLS without one.
    pub tls: Option<SocketAddr>,
    /// Where it takes administration: `127.0.0.1:8081`, `unix:/run/weft/admin.sock`.
    pub admin: String,
    /// In `dev` the identity of every caller, in `serve` the node's own.
    pub identity: String,
    /// The watched folder, as an absolute path.
    pub folder: Option<PathBuf>,
}

/// What the API answers from.
pub struct AdminState {
    /// What is deployed.
    pub deployments: Deployments,
    /// Judges who may do what here, and records it.
    pub mesh: Arc<Mesh>,
    /// Says why calls get the answers they get.
    pub explain: Arc<Explainer>,
    /// Redrives and replays.
    pub jobs: Arc<Jobs>,
    /// Takes uploads.
    pub modules: Arc<ModuleStore>,
    /// What `/readyz` says.
    pub readiness: Arc<Readiness>,
    /// The last scale changes.
    pub scale_log: Arc<ScaleLog>,
    /// What the node says of itself.
    pub node: NodeInfo,
    /// How addresses are made.
    pub names: Names,
    /// Reads what topics keep.
    pub envelopes: Arc<Envelopes>,
    /// Renders `/metrics` in Prometheus' text format.
    pub metrics: Arc<dyn Fn(&Snapshot) -> String + Send + Sync>,
    /// What is held against visitors whose door says nothing else.
    pub guard: Guard,
    /// The roots that clients of this node trust, in PEM; `None` where there is no TLS.
    pub bundle: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    /// Ends what would go on for ever.
    pub shutdown: CancellationToken,
}

type Shared = Arc<AdminState>;

/// The API as a service. Whoever serves it says who each request comes from, by an `Extension<Caller>`; a request without
/// one comes from nobody.
pub fn router(state: AdminState) -> Router {
    let state: Shared = Arc::new(state);
    Router::new()
        .route("/healthz", get(node::healthz))
        .route("/readyz", get(node::readyz))
        .route("/metrics", get(node::metrics))
        .route("/api/v1/node", get(node::node))
        .route("/api/v1/resources/{kind}", get(resources::list))
        .route("/api/v1/resources/{kind}/{namespace}/{name}", get(resources::one).delete(resources::delete))
        .route("/api/v1/modules/{digest}", axum::routing::put(deploy::put_module).head(deploy::has_module))
        .route("/api/v1/apply", post(deploy::apply))
        .route("/api/v1/topics/{namespace}/{name}/events", get(events::events))
        .route("/api/v1/triggers/{namespace}/{name}/dead", get(dead::dead))
        .route("/api/v1/triggers/{namespace}/{name}/redrive", post(jobs::redrive))
        .route("/api/v1/triggers/{namespace}/{name}/replay", post(jobs::replay))
        .route("/api/v1/jobs", get(jobs::list))
        .route("/api/v1/jobs/{id}", get(jobs::one))
        .route("/api/v1/jobs/{id}/stop", post(jobs::stop))
        .route("/api/v1/explain/request", post(explain::request))
        .route("/api/v1/explain/event", post(explain::event))
        .route("/api/v1/explain/decisions/{id}", get(explain::decision))
        .route("/api/v1/explain/deliveries", get(explain::delivery))
        .fallback(|| async { Refusal::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        // Each handler that reads a body has a limit of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), desk::admit))
        .with_state(state)
}

/// Serves the API at one door until `shutdown`, then lets requests end within five seconds. Each request carries who came in
/// as an extension, a [`Caller`](crate::path::caller::Caller).
pub async fn serve(door: Door, router: Router, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let next = async || {
        // The semaphore is never closed; were it, nothing more would be accepted.
        let place = places.clone().acquire_owned().await.ok()?;
        Some((door.accept().await, place))
    };
    let mut connections = JoinSet::new();
    while let Some(Some((arrived, place))) = shutdown.run_until_cancelled(next()).await {
        while connections.try_join_next().is_some() {}
        let arrival = match arrived {
            Ok(arrival) => arrival,
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            if let Some(visitor) = arrival.visitor().await {
                Box::pin(receive(visitor, router, &shutdown)).await;
            }
            drop(place);
        });
    }
    drop(door);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN_TIME, all).await.is_err() {
        tracing::warn!("admin requests were still open {DRAIN_TIME:?} after shutdown began");
    }
}

/// Answers a visitor until it goes, its certificate ends or is no longer trusted, or the node stops.
async fn receive(visitor: Visitor, router: Router, shutdown: &CancellationToken) {
    let Visitor { stream, caller, guard, session } = visitor;
    let service = TowerToHyperService::new(router.layer(Extension(caller)).layer(Extension(guard)));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    let over = async {
        match &session {
            Some(session) => session.over().await,
            None => std::future::pending().await,
        }
    };
    let cut = async {
        match &session {
            Some(session) => session.cut().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // A client that breaks off, or sends no HTTP, is its own matter.
        _ended = connection.as_mut() => return,
        () = over => {}
        () = cut => return,
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = connection.await;
}

#[cfg(test)]
mod tests;
