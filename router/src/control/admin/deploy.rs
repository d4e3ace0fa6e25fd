//! Taking modules and documents: what `weft deploy` and `weft apply` send.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use weft_functions::manifest::{Kind, ResourceId, SourceFile};
use weft_functions::policy::Verb;
use weft_functions::value::{Namespaced, ValueError};

use super::super::deployments::{Applied, ApplyRequest, ModulesFrom, UploadedModule};
use super::super::desired::{Change, Scope};
use super::super::modules::{MODULE_BYTES_MAX, ModuleDigest, ModuleError, Put};
use super::desk::Desk;
use super::refusal::{Refusal, read};
use super::{Shared, rights};
use crate::path::call::Target;

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

/// What a module is for. Whoever may apply the function may bring its module; one that is for no function in particular
/// takes the right to apply to the whole mesh.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Purpose {
    /// `ns/name`.
    function: Option<String>,
}

impl Purpose {
    async fn ask(&self, desk: &Desk) -> Result<(), Refusal> {
        let target = match &self.function {
            None => rights::mesh(),
            Some(function) => {
                let name: Namespaced = function.parse().map_err(|error: ValueError| {
                    Refusal::bad_request(format!("function={}: {error}", function.escape_debug()))
                })?;
                Target::Resource(ResourceId { kind: Kind::Function, namespace: name.namespace, name: name.name })
            }
        };
        desk.ask(Verb::Apply, target).await
    }
}

/// Applies documents.
pub(super) async fn apply(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    body: Body,
) -> Result<Json<Value>, Refusal> {
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
        judge: desk.judge_changes(),
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
    Extension(desk): Extension<Arc<Desk>>,
    Path(digest): Path<String>,
    purpose: Result<Query<Purpose>, QueryRejection>,
    body: Body,
) -> Result<Response, Refusal> {
    purpose.map_err(|error| Refusal::bad_request(error.body_text()))?.ask(&desk).await?;
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
pub(super) async fn has_module(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(digest): Path<String>,
    purpose: Result<Query<Purpose>, QueryRejection>,
) -> Result<StatusCode, Refusal> {
    purpose.map_err(|error| Refusal::bad_request(error.body_text()))?.ask(&desk).await?;
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
