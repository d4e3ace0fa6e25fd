//! The admin API, version 1: JSON over HTTP on a listener of its own. The command line is its client; operators have
//! `/healthz`, `/readyz` and `/metrics` here. It reads what is deployed and asks `deployments` for changes; it decides
//! nothing itself.

mod dead;
mod deploy;
mod events;
mod guard;
mod node;
mod refusal;
mod resources;
mod status;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::guard::Guard;
use self::refusal::Refusal;
use super::deployments::Deployments;
use super::modules::ModuleStore;
use super::readiness::Readiness;
use super::scale_log::ScaleLog;
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
    /// Where it takes calls.
    pub http: SocketAddr,
    /// Where it takes administration: `127.0.0.1:8081`, `unix:/run/weft/admin.sock`.
    pub admin: String,
    /// The identity that callers have who show none.
    pub identity: String,
    /// The watched folder, as an absolute path.
    pub folder: Option<PathBuf>,
}

/// What the API answers from.
pub struct AdminState {
    /// What is deployed.
    pub deployments: Deployments,
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
    /// Who may speak to the listener.
    pub guard: Guard,
    /// Ends what would go on for ever.
    pub shutdown: CancellationToken,
}

type Shared = Arc<AdminState>;

/// The API as a service.
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
        .fallback(|| async { Refusal::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Refusal::method() })
        // Each handler that reads a body has a limit of its own.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), admit))
        .with_state(state)
}

/// Refuses whom the guard refuses, and names the version on every answer.
async fn admit(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = match state.guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    response.headers_mut().insert(API_HEADER, HeaderValue::from_static("1"));
    response
}

/// Serves the API until `shutdown`, then lets requests end within five seconds.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    let next = async || {
        // The semaphore is never closed; were it, nothing more would be accepted.
        let place = places.clone().acquire_owned().await.ok()?;
        Some((listener.accept().await, place))
    };
    while let Some(Some((accepted, place))) = shutdown.run_until_cancelled(next()).await {
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin listener cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Without it answers come later, and are right all the same.
        let _ = stream.set_nodelay(true);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off, or sends no HTTP, is its own matter.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIME, graceful.shutdown()).await.is_err() {
        tracing::warn!("admin requests were still open {DRAIN_TIME:?} after shutdown began");
    }
}

#[cfg(test)]
mod tests;
