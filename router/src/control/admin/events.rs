//! A topic's events as lines of JSON, for `weft tail`: those that are there, and with `follow` those to come.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weft_eventlog::{LogError, Record, Sequence, Topic};
use weft_functions::cesql::Expression;
use weft_functions::event::{Event, http as binding};
use weft_functions::manifest::Kind;
use weft_functions::value::Namespaced;

use super::super::timestamp;
use super::Shared;
use super::refusal::Refusal;
use super::resources::{absent, read_namespaced};
use crate::path::envelope::{self, Envelopes};

/// How often an empty line says that a quiet stream is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Events and bytes read from the log at once.
const BATCH: (usize, usize) = (256, 1 << 20);

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ask {
    /// `beginning`, `end`, a sequence or a time. Default: `end` with `follow`, else `beginning`.
    from: Option<String>,
    /// At most so many events. Default: all.
    limit: Option<u64>,
    /// Whether to wait for more. Default: no.
    #[serde(default)]
    follow: bool,
    /// Only events for which this CESQL expression is true.
    #[serde(rename = "where")]
    filter: Option<String>,
}

/// Streams events.
pub(super) async fn events(
    State(state): State<Shared>,
    Path((namespace, name)): Path<(String, String)>,
    ask: Result<Query<Ask>, QueryRejection>,
) -> Result<Response, Refusal> {
    let name = read_namespaced(&namespace, &name)?;
    let Query(ask) = ask.map_err(|error| Refusal::bad_request(error.body_text()))?;
    let view = state.deployments.view();
    let topic = view.snapshot.topics.get(&name).ok_or_else(|| absent(Kind::Topic, &name))?;
    let (topic, envelopes) = (topic.log.clone(), state.envelopes.clone());
    let from = match (ask.from.as_deref(), ask.follow) {
        (None, true) => "end",
        (None, false) => "beginning",
        (Some(from), _) => from,
    };
    let tail = Tail {
        next: begin(topic.as_ref(), from).await?,
        end: (!ask.follow).then(|| topic.bounds().next),
        left: ask.limit.unwrap_or(u64::MAX),
        watch: topic.watch(),
        topic,
        name,
        envelopes,
        filter: ask.filter.as_deref().map(expression).transpose()?,
        shutdown: state.shutdown.clone(),
    };
    let body = Body::from_stream(stream::unfold(tail, Tail::chunk));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// An expression that can be read.
pub(super) fn expression(text: &str) -> Result<Expression, Refusal> {
    Expression::parse(text).map_err(|error| Refusal::bad_request(format!("where: {error}")))
}

/// Where in the topic a word, a sequence or a time is.
pub(super) async fn begin(topic: &dyn Topic, from: &str) -> Result<Sequence, Refusal> {
    let bounds = topic.bounds();
    match (from, from.parse::<Sequence>(), timestamp::parse(from)) {
        ("beginning", _, _) => Ok(bounds.first),
        ("end", _, _) => Ok(bounds.next),
        (_, Ok(sequence), _) => Ok(sequence),
        (_, _, Some(ms)) => topic.find_by_time(ms).await.map_err(|error| Refusal::unavailable(error.to_string())),
        _ => {
            let from = from.escape_debug();
            Err(Refusal::bad_request(format!("from=`{from}`: expected beginning, end, a sequence or an RFC 3339 time")))
        }
    }
}

/// Where a stream stands.
struct Tail {
    topic: Arc<dyn Topic>,
    name: Namespaced,
    envelopes: Arc<Envelopes>,
    filter: Option<Expression>,
    next: Sequence,
    /// Where one that does not follow ends.
    end: Option<Sequence>,
    /// Events that may still be sent.
    left: u64,
    watch: watch::Receiver<Sequence>,
    shutdown: CancellationToken,
}

impl Tail {
    /// The next piece of the body; `None` at its end.
    async fn chunk(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            if self.left == 0 || self.end.is_some_and(|end| self.next >= end) {
                return None;
            }
            // Seen before it is read: what is appended after the read wakes us.
            self.watch.borrow_and_update();
            let records = match self.read().await {
                Ok(records) => records,
                // The topic was deleted, or the node ends.
                Err(LogError::Closed { .. }) => return None,
                Err(error) => {
                    self.left = 0;
                    return Some((Err(io::Error::other(error)), self));
                }
            };
            if let Some(last) = records.last() {
                self.next = last.sequence.next();
                let wanted: Vec<_> = records.iter().filter(|record| self.wants(record)).collect();
                let most = usize::try_from(self.left).map_or(wanted.len(), |left| left.min(wanted.len()));
                self.left -= most as u64;
                let lines: String = wanted[..most].iter().map(|record| self.line(record) + "\n").collect();
                if most > 0 {
                    return Some((Ok(lines.into()), self));
                }
                // Nothing of this is wanted; others have their turn before the next piece is read.
                tokio::task::yield_now().await;
                continue;
            }
            if self.end.is_some() {
                return None;
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                changed = self.watch.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => return Some((Ok(Bytes::from_static(b"\n")), self)),
            }
        }
    }

    async fn read(&self) -> Result<Vec<Record>, LogError> {
        let (most, bytes) = BATCH;
        let left = usize::try_from(self.left).ok().filter(|_| self.filter.is_none());
        let most = left.map_or(most, |left| most.min(left));
        let mut records = self.topic.read(self.next, most, bytes).await?;
        records.retain(|record| self.end.is_none_or(|end| record.sequence < end));
        Ok(records)
    }

    /// Whether the expression holds. What cannot be read is no event that it could hold for.
    fn wants(&self, record: &Record) -> bool {
        let holds = |filter: &Expression| envelope::event(record).is_ok_and(|event| filter.holds(&event));
        self.filter.as_ref().is_none_or(holds)
    }

    fn line(&self, record: &Record) -> String {
        let (sequence, time) = (record.sequence.to_string(), timestamp::rfc3339(record.admitted_ms));
        let line = match self.envelopes.open(&self.name, record) {
            Ok((event, envelope)) => {
                let caller = envelope.caller;
                let line = Line {
                    sequence: &sequence,
                    time: &time,
                    event: structured(&event),
                    principal: caller.principal.as_str(),
                    origin: caller.origin.as_str(),
                };
                serde_json::to_string(&line)
            }
            Err(error) => {
                serde_json::to_string(&json!({ "sequence": sequence, "time": time, "error": error.to_string() }))
            }
        };
        // JSON data keeps its own spacing, and a line end in it would end our line. Within valid JSON line ends stand
        // between tokens only, where a space means the same.
        line.unwrap_or_default().replace(['\n', '\r'], " ")
    }
}

#[derive(serde::Serialize)]
struct Line<'a> {
    sequence: &'a str,
    time: &'a str,
    event: Option<Box<RawValue>>,
    principal: &'a str,
    origin: &'a str,
}

/// The event in CloudEvents' JSON format, its data byte for byte.
pub(super) fn structured(event: &Event) -> Option<Box<RawValue>> {
    let text = String::from_utf8(binding::encode_structured(event).into()).ok()?;
    RawValue::from_string(text).ok()
}

/// The same as a value, for answers that are not streams.
pub(super) fn structured_value(event: &Event) -> Value {
    serde_json::from_slice(&binding::encode_structured(event)).unwrap_or_default()
}
