//! A trigger's dead logs: what it gave up, what policy denied it and what expired, with the cause. There is one of live
//! events and one of each kind of events that came once more; they are listed one after the other.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use weft_eventlog::{DeadEvents, DeadRecord, Record};
use weft_functions::manifest::Kind as Resource;

use super::super::jobs::Wanted;
use super::super::timestamp::rfc3339;
use super::Shared;
use super::events::{expression, structured_value};
use super::refusal::Refusal;
use super::resources::{absent, read_namespaced};
use crate::path::again::{Kind, Mark};
use crate::path::envelope;
use crate::path::snapshot::DeployedTrigger;

/// Entries of an answer when the caller does not say.
const DEFAULT_LIMIT: usize = 100;

/// Entries of an answer at most. Each may hold an event of 1 MiB, so the log gives fewer when they are large.
const LIMIT_MAX: usize = 1_000;

/// Entries that one answer looks at.
const LOOK_MAX: usize = 10_000;

/// Which entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// At most so many; default 100, at most 1,000.
    limit: Option<usize>,
    /// Go on where an answer before ended: its `next`. Default: from the oldest.
    after: Option<String>,
    /// Only the event of this id.
    event: Option<String>,
    /// Only events of this source.
    source: Option<String>,
    /// Only events for which this CESQL expression is true.
    #[serde(rename = "where")]
    filter: Option<String>,
}

/// A place in the dead logs of a trigger: `LOG-NUMBER`, the log 0 being that of live events.
#[derive(Clone, Copy)]
struct Place {
    log: usize,
    after: u64,
}

/// Lists entries, oldest first; `next` is there as long as there may be more.
pub(super) async fn dead(
    State(state): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Json<Value>, Refusal> {
    let name = read_namespaced(&namespace, &name)?;
    let Query(ask) = ask.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let filter = ask.filter.as_deref().map(expression).transpose()?;
    // Entries of events that are gone are those of nobody in particular.
    let all = ask.event.is_none() && ask.source.is_none() && filter.is_none();
    let wanted = Wanted { event: ask.event, source: ask.source, filter };
    let view = state.deployments.view();
    let trigger = view.snapshot.triggers.get(&name).ok_or_else(|| absent(Resource::Trigger, &name))?;
    let limit = ask.limit.unwrap_or(DEFAULT_LIMIT).min(LIMIT_MAX);
    let mut place = ask.after.as_deref().map_or(Ok(Place { log: 0, after: 0 }), read_place)?;
    let (mut items, mut looked) = (Vec::new(), 0);
    while items.len() < limit && looked < LOOK_MAX && place.log <= Kind::ALL.len() {
        let entries = entries(trigger, place, limit).await?;
        if entries.is_empty() {
            place = Place { log: place.log + 1, after: 0 };
            continue;
        }
        looked += entries.len();
        for entry in entries {
            if items.len() == limit {
                break;
            }
            place.after = entry.number;
            if all || is_wanted(&wanted, &entry) {
                items.push(item(place.log, &entry));
            }
        }
    }
    let next = (place.log <= Kind::ALL.len()).then(|| format!("{}-{}", place.log, place.after));
    Ok(Json(json!({ "items": items, "next": next })))
}

async fn entries(trigger: &DeployedTrigger, place: Place, limit: usize) -> Result<Vec<DeadRecord>, Refusal> {
    let Some(consumer) = trigger.dead_log(place.log) else { return Ok(Vec::new()) };
    let dead = consumer.dead(Some(place.after), limit.max(1)).await;
    dead.map_err(|error| Refusal::unavailable(error.to_string()))
}

fn read_place(text: &str) -> Result<Place, Refusal> {
    let place = text
        .split_once('-')
        .and_then(|(log, after)| Some(Place { log: log.parse().ok()?, after: after.parse().ok()? }));
    place.ok_or_else(|| {
        Refusal::bad_request(format!("after=`{}`: expected the `next` of an answer", text.escape_debug()))
    })
}

fn is_wanted(wanted: &Wanted, entry: &DeadRecord) -> bool {
    let DeadEvents::One(record) = &entry.what else { return false };
    envelope::event(record).is_ok_and(|event| wanted.takes(&event))
}

fn item(log: usize, dead: &DeadRecord) -> Value {
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
            let mark = Mark::of(record).filter(|_| log > 0);
            item["sequence"] = mark.as_ref().map_or(record.sequence, |mark| mark.source).to_string().into();
            if let Some(mark) = mark {
                item[mark.kind.as_str()] = mark.job.into();
            }
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
