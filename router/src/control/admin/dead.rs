//! A trigger's dead log: what it gave up, what policy denied it and what expired, with the cause.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weft_eventlog::{DeadEvents, DeadRecord, Record};
use weft_functions::manifest::Kind;

use super::super::timestamp::rfc3339;
use super::Shared;
use super::events::structured_value;
use super::refusal::Refusal;
use super::resources::{absent, read_namespaced};
use crate::path::envelope;

/// Entries of an answer when the caller does not say.
const DEFAULT_LIMIT: usize = 100;

/// Entries of an answer at most. Each may hold an event of 1 MiB, so the log gives fewer when they are large.
const LIMIT_MAX: usize = 1_000;

/// Which entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// At most so many; default 100, at most 1,000. Fewer come when they are large: go on until none come.
    limit: Option<usize>,
    /// Go on after the entry with this `number`; default from the oldest.
    after: Option<u64>,
}

/// Lists entries, oldest first.
pub(super) async fn dead(
    State(state): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let name = read_namespaced(&namespace, &name)?;
    let Query(ask) = ask.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let view = state.deployments.view();
    let trigger = view.snapshot.triggers.get(&name).ok_or_else(|| absent(Kind::Trigger, &name))?;
    let limit = ask.limit.unwrap_or(DEFAULT_LIMIT).min(LIMIT_MAX);
    let dead = trigger.consumer.dead(ask.after, limit).await;
    let dead = dead.map_err(|error| Refusal::unavailable(error.to_string()))?;
    Ok(Json(json!({ "items": dead.iter().map(item).collect::<Vec<_>>() })))
}

fn item(dead: &DeadRecord) -> Value {
    let cause: Map<String, Value> =
        dead.cause.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let mut item = json!({
        "number": dead.number,
        "state": dead.state.name(),
        "attempts": dead.attempts,
        "at": rfc3339(dead.at_ms),
        "cause": cause,
        "event": null,
    });
    match &dead.what {
        DeadEvents::One(record) => {
            item["sequence"] = record.sequence.to_string().into();
            item["event"] = event(record);
        }
        // The events themselves are gone.
        DeadEvents::Range { first, last } => {
            item["sequence"] = first.to_string().into();
            item["last"] = last.to_string().into();
        }
    }
    item
}

fn event(record: &Record) -> Value {
    match envelope::event(record) {
        Ok(event) => structured_value(&event),
        Err(_) => Value::Null,
    }
}
