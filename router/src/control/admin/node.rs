//! What a node says of itself: that it lives, whether it is ready, its numbers, and how it is reached.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::{Mode, Shared};

pub(super) async fn healthz() -> &'static str {
    "ok"
}

pub(super) async fn readyz(State(state): State<Shared>) -> Response {
    let missing = state.readiness.missing();
    if missing.is_empty() {
        return Json(json!({ "ready": true })).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "ready": false, "missing": missing }))).into_response()
}

/// Prometheus' text format 0.0.4.
pub(super) async fn metrics(State(state): State<Shared>) -> Response {
    let text = (state.metrics)(&state.deployments.view().snapshot);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

pub(super) async fn node(State(state): State<Shared>) -> Json<Value> {
    let node = &state.node;
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "mode": match node.mode {
            Mode::Dev => "dev",
            Mode::Serve => "serve",
        },
        "domain": state.names.domain,
        "http": node.http.map(|addr| addr.to_string()),
        "mtls": node.mtls.map(|addr| addr.to_string()),
        "tls": node.tls.map(|addr| addr.to_string()),
        "bundle": (state.bundle)(),
        "admin": node.admin,
        "identity": node.identity,
        "snapshot": state.deployments.view().snapshot.number,
        "folder": node.folder,
    }))
}
