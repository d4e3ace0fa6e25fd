//! Taking modules and documents: what `weft deploy` and `weft apply` send.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weft_functions::manifest::SourceFile;

use super::super::deployments::{Applied, ApplyRequest, ModulesFrom, UploadedModule};
use super::super::desired::{Change, Scope};
use super::super::modules::{MODULE_BYTES_MAX, ModuleDigest, ModuleError, Put};
use super::Shared;
use super::refusal::{Refusal, read};

/// Bytes of an apply. As much as the change log takes in one record.
const APPLY_BYTES_MAX: usize = 8 << 20;

/// A module's limit as the reader of bodies takes it.
const MODULE_LIMIT: usize = MODULE_BYTES_MAX as usize;

/// Documents with the modules they name.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ApplyBody {
    documents: Vec<Document>,
    #[serde(default)]
    modules: Vec<Module>,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    file: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Module {
    file: Box<str>,
    module: Box<str>,
    digest: String,
}

/// Applies documents.
pub(super) async fn apply(State(state): State<Shared>, body: Body) -> Result<Json<Value>, Refusal> {
    let bytes = read(body, APPLY_BYTES_MAX).await?;
    let body: ApplyBody = serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request(error.to_string()))?;
    let mut uploaded = Vec::with_capacity(body.modules.len());
    for Module { file, module, digest } in body.modules {
        uploaded.push(UploadedModule { file, module, digest: read_digest(&digest)? });
    }
    let files = body.documents.into_iter().map(|document| SourceFile::new(document.file, document.text));
    let request = ApplyRequest {
        files: files.collect(),
        modules: ModulesFrom::Uploaded(uploaded),
        scope: Scope::Merge,
        dry_run: body.dry_run,
    };
    Ok(Json(applied(&state.deployments.apply(request).await?)))
}

/// What an apply or a delete did.
pub(super) fn applied(applied: &Applied) -> Value {
    let change = |change: &Change| {
        let mut value = json!({
            "change": change.what.as_str(),
            "kind": change.id.kind,
            "namespace": change.id.namespace,
            "name": change.id.name,
        });
        if let Some(revision) = &change.revision {
            value["revision"] = revision.as_str().into();
        }
        value
    };
    let changes: Vec<Value> = applied.changes.iter().map(change).collect();
    json!({ "snapshot": applied.snapshot, "dryRun": applied.dry_run, "changes": changes })
}

/// Keeps a module: 201 when it is new, 200 when it was there.
pub(super) async fn put_module(
    State(state): State<Shared>,
    Path(digest): Path<String>,
    body: Body,
) -> Result<Response, Refusal> {
    let digest = read_digest(&digest)?;
    let bytes = read(body, MODULE_LIMIT).await?;
    let store = state.modules.clone();
    let put = tokio::task::spawn_blocking(move || store.put(digest, &bytes)).await;
    let put = put.map_err(|error| Refusal::unavailable(format!("keeping the module did not end: {error}")))?;
    let status = match put {
        Ok(Put::New) => StatusCode::CREATED,
        Ok(Put::Known) => StatusCode::OK,
        Err(error @ ModuleError::Mismatch { .. }) => return Err(Refusal::bad_request(error.to_string())),
        Err(error) => return Err(Refusal::unavailable(error.to_string())),
    };
    Ok((status, Json(json!({ "digest": digest.to_string() }))).into_response())
}

/// Whether a module is kept: 200 or 404.
pub(super) async fn has_module(State(state): State<Shared>, Path(digest): Path<String>) -> Result<StatusCode, Refusal> {
    let digest = read_digest(&digest)?;
    if state.modules.contains(digest) {
        return Ok(StatusCode::OK);
    }
    Err(Refusal::not_found(format!("the node does not have {digest}")))
}

fn read_digest(text: &str) -> Result<ModuleDigest, Refusal> {
    text.parse().map_err(|_| {
        Refusal::bad_request(format!(
            "`{}`: a module's digest is 64 lower-case hexadecimal digits",
            text.escape_debug()
        ))
    })
}
