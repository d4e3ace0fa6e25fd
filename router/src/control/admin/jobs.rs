//! Redrives and replays: what begins a job, shows jobs, and stops them. Whoever may operate a trigger may begin and stop its
//! jobs; whoever may read it sees them.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use weft_eventlog::Sequence;
use weft_functions::manifest::{Kind as Resource, ResourceId};
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::super::jobs::{JobError, Order};
use super::Shared;
use super::desk::Desk;
use super::events::{begin, expression};
use super::refusal::{Refusal, read};
use super::resources::{absent, read_namespaced};
use crate::path::again::Kind;
use crate::path::call::Target;

/// Bytes of what is asked for: an expression has at most 4 KiB.
const ASK_BYTES_MAX: usize = 64 << 10;

/// Events per second when nobody says, and at most.
const RATE: (u32, u32) = (100, 100_000);

/// What is to be redriven.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedriveAsk {
    /// Only the event of this id.
    event: Option<String>,
    /// Only events of this source.
    source: Option<String>,
    /// Only events for which this CESQL expression is true.
    #[serde(rename = "where")]
    filter: Option<String>,
    /// Events per second; default 100.
    rate: Option<u32>,
}

/// What is to be replayed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayAsk {
    /// `beginning`, a sequence or a time.
    from: String,
    /// Up to there and not further: `end` (default), a sequence or a time.
    to: Option<String>,
    /// As of a redrive.
    #[serde(rename = "where")]
    filter: Option<String>,
    /// As of a redrive.
    rate: Option<u32>,
}

/// Begins to deliver once more what had ended dead, denied or expired.
pub(super) async fn redrive(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let trigger = read_namespaced(&namespace, &name)?;
    let ask: RedriveAsk = parsed(body).await?;
    let order = Order {
        kind: Kind::Redrive,
        trigger,
        event: ask.event,
        source: ask.source,
        filter: checked(ask.filter)?,
        range: (Sequence::FIRST, Sequence::FIRST),
        rate: rate(ask.rate)?,
        by: desk.caller().principal.to_string(),
    };
    begun(&state, order).await
}

/// Begins to deliver once more what the topic still holds of a time.
pub(super) async fn replay(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path((namespace, name)): Path<(String, String)>,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let trigger = read_namespaced(&namespace, &name)?;
    let ask: ReplayAsk = parsed(body).await?;
    let snapshot = state.deployments.view().snapshot.clone();
    let deployed = snapshot.triggers.get(&trigger).ok_or_else(|| absent(Resource::Trigger, &trigger))?;
    let topic = snapshot.topics.get(&deployed.topic).ok_or_else(|| absent(Resource::Topic, &deployed.topic))?;
    let from = begin(topic.log.as_ref(), &ask.from).await?;
    let to = begin(topic.log.as_ref(), ask.to.as_deref().unwrap_or("end")).await?.min(topic.log.bounds().next);
    if from > to {
        return Err(Refusal::bad_request(format!("it would begin at {from} and end before {to}")));
    }
    let order = Order {
        kind: Kind::Replay,
        trigger,
        event: None,
        source: None,
        filter: checked(ask.filter)?,
        range: (from, to),
        rate: rate(ask.rate)?,
        by: desk.caller().principal.to_string(),
    };
    begun(&state, order).await
}

/// Lists jobs, newest first.
pub(super) async fn list(State(state): State<Shared>, Extension(desk): Extension<Arc<Desk>>) -> Json<Value> {
    let may = |trigger: &Namespaced| desk.may(Verb::Read, of(trigger));
    Json(json!({ "items": state.jobs.list(may) }))
}

/// Shows a job.
pub(super) async fn one(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    desk.ask(Verb::Read, of(&state.jobs.trigger_of(&id)?)).await?;
    Ok(Json(state.jobs.one(&id)?))
}

/// Stops a job.
pub(super) async fn stop(
    State(state): State<Shared>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    desk.ask(Verb::Operate, of(&state.jobs.trigger_of(&id)?)).await?;
    state.jobs.stop_one(&id)?;
    Ok(Json(state.jobs.one(&id)?))
}

async fn begun(state: &Shared, order: Order) -> Result<(StatusCode, Json<Value>), Refusal> {
    let id = state.jobs.begin(order).await?;
    Ok((StatusCode::ACCEPTED, Json(state.jobs.one(&id)?)))
}

async fn parsed<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let bytes = read(body, ASK_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn checked(filter: Option<String>) -> Result<Option<String>, Refusal> {
    filter.as_deref().map(expression).transpose()?;
    Ok(filter)
}

fn rate(rate: Option<u32>) -> Result<u32, Refusal> {
    match rate.unwrap_or(RATE.0) {
        rate if (1..=RATE.1).contains(&rate) => Ok(rate),
        rate => Err(Refusal::bad_request(format!("rate={rate}: expected 1 to {} events per second", RATE.1))),
    }
}

fn of(trigger: &Namespaced) -> Target {
    let Namespaced { namespace, name } = trigger.clone();
    Target::Resource(ResourceId { kind: Resource::Trigger, namespace, name })
}

impl From<JobError> for Refusal {
    fn from(error: JobError) -> Self {
        let detail = error.to_string();
        match error {
            JobError::NoTrigger(_) | JobError::NoJob(_) => Self::not_found(detail),
            JobError::GoingOn(_) => Self::conflict("JOB_GOING_ON", "a job of this kind is going on", detail),
            JobError::TooMany | JobError::Log(_) => Self::unavailable(detail),
        }
    }
}
