//! Reading and deleting resources: each as it was written, with its status.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use weft_functions::manifest::{Kind, ResourceId};
use weft_functions::policy::Verb;
use weft_functions::value::{Name, Namespaced};

use super::desk::Desk;
use super::refusal::Refusal;
use super::{Shared, deploy, rights, status};
use crate::path::call::Target;

/// What a list may be narrowed by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Narrow {
    namespace: Option<String>,
}

/// All resources of a kind, in all namespaces or one, that the caller may read. Who may read none of those that are there
/// is refused.
pub(super) async fn list(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(kind): Path<String>,
    narrow: Result<Query<Narrow>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let kind = read_kind(&kind)?;
    let Query(narrow) = narrow.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let namespace = narrow.namespace.as_deref().map(read_name).transpose()?;
    let view = state.deployments.view();
    let listed = || {
        let entries = view.desired.entries.iter();
        entries.filter(|(id, _)| id.kind == kind && namespace.as_ref().is_none_or(|wanted| id.namespace == *wanted))
    };
    let resource = |id: &ResourceId| Target::Resource(id.clone());
    let readable = listed().filter(|(id, _)| desk.may(Verb::Read, resource(id))).collect::<Vec<_>>();
    let all = || namespace.clone().map_or_else(rights::mesh, Target::Namespace);
    let deciding = readable.first().map(|(id, _)| *id).or_else(|| listed().next().map(|(id, _)| id));
    desk.ask(Verb::Read, deciding.map_or_else(all, resource)).await?;
    let items: Vec<Value> = readable.into_iter().map(|(_, entry)| status::resource(&state, &view, entry)).collect();
    Ok(Json(json!({ "items": items })))
}

/// One resource.
pub(super) async fn one(
    State(state): State<Shared>,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let id = read_id(&path.0, &path.1, &path.2)?;
    let view = state.deployments.view();
    let entry = view.desired.entries.get(&id).ok_or_else(|| absent(id.kind, &id.namespaced()))?;
    Ok(Json(status::resource(&state, &view, entry)))
}

/// Deletes one resource that the API owns.
pub(super) async fn delete(
    State(state): State<Shared>,
    Path(path): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    let id = read_id(&path.0, &path.1, &path.2)?;
    Ok(Json(deploy::applied(&state.deployments.delete(id).await?)))
}

/// Namespace and name from an address.
pub(super) fn read_namespaced(namespace: &str, name: &str) -> Result<Namespaced, Refusal> {
    Ok(Namespaced::new(read_name(namespace)?, read_name(name)?))
}

/// The refusal of a name that nothing has.
pub(super) fn absent(kind: Kind, name: &Namespaced) -> Refusal {
    Refusal::not_found(format!("there is no {} {name}", kind.singular()))
}

/// Kind, namespace and name from an address.
pub(super) fn read_id(kind: &str, namespace: &str, name: &str) -> Result<ResourceId, Refusal> {
    Ok(ResourceId { kind: read_kind(kind)?, namespace: read_name(namespace)?, name: read_name(name)? })
}

fn read_kind(text: &str) -> Result<Kind, Refusal> {
    text.parse().map_err(|error: weft_functions::value::ValueError| Refusal::not_found(error.to_string()))
}

/// What is no name names nothing.
fn read_name(text: &str) -> Result<Name, Refusal> {
    text.parse().map_err(|error: weft_functions::value::ValueError| Refusal::not_found(error.to_string()))
}
