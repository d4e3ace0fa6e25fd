//! What became of an event that was published: where it is in the topics' logs, and for each trigger how far it came, by
//! which rule, with which attempts. Read from the logs and from the decisions that are still in memory. What the logs do
//! not say, such as whether an ended event was delivered or filtered, follows from what they do.

use std::sync::Arc;

use serde::Serialize;
use weft_eventlog::{Consumer, DeadEvents, DeadRecord, EventState, Record, RetryRecord, Sequence, Terminal, Topic};
use weft_functions::event::Event;
use weft_functions::filter::FilterVerdict;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::super::timestamp::rfc3339;
use super::contract::Asking;
use super::rehearsal::{consume, deliver, destination, leave};
use super::situation::ask;
use crate::path::Mesh;
use crate::path::again::{Kind, Lane, Mark};
use crate::path::attempts::PastAttempt;
use crate::path::caller::Caller;
use crate::path::snapshot::{DeployedTrigger, Snapshot};

/// Records that are read at once, and their bytes.
const PAGE: (usize, usize) = (1_024, 4 << 20);

/// Bytes of bodies that one search reads over all topics: a minute of a disk that is not new. Newest events come first.
const SEARCH_BYTES_MAX: usize = 1 << 30;

/// Copies of one event that are told of.
const COPIES_MAX: usize = 16;

/// Entries of a dead log that are looked through.
const DEAD_MAX: usize = 100_000;

/// Which event.
#[derive(Debug, Clone)]
pub struct Search {
    /// Its id.
    pub id: String,
    /// Its source; `None`: any.
    pub source: Option<String>,
    /// Where; `None`: in every topic.
    pub topic: Option<Namespaced>,
}

/// What a search came to.
pub enum Found {
    /// The event, the newest of its id.
    One(Box<Delivered>),
    /// There is none among the events that were looked at.
    Nowhere {
        /// Whether older events were not looked at, because there are too many.
        more: bool,
    },
}

/// An event and what became of it.
#[derive(Debug, Serialize)]
pub struct Delivered {
    /// The event, without its data.
    pub event: Kept,
    /// One for each trigger of its topic.
    pub deliveries: Vec<Delivery>,
    /// Where it is, for whoever asks on.
    #[serde(skip)]
    pub place: (Namespaced, Sequence),
}

/// An event as it is kept.
#[derive(Debug, Serialize)]
pub struct Kept {
    /// `ns/name`.
    pub topic: String,
    /// Its place there.
    pub sequence: String,
    /// `id`.
    pub id: String,
    /// `source`.
    pub source: String,
    /// `type`.
    #[serde(rename = "type")]
    pub ty: String,
    /// When it was accepted.
    pub accepted: String,
    /// Who published it.
    pub principal: Option<String>,
    /// Who began the chain.
    pub origin: Option<String>,
    /// Through what it came.
    pub via: Option<String>,
    /// How many calls and events lie before it.
    pub hops: Option<u8>,
    /// Why it cannot be delivered, if its record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// How far a trigger came with an event.
#[derive(Debug, Serialize)]
pub struct Delivery {
    /// `ns/name`.
    pub trigger: String,
    /// Where it delivers.
    pub target: String,
    /// `waiting`, `in_flight`, `retrying`, `delivered`, `filtered`, `denied`, `expired`, `dead`, or `before_start` for an
    /// event that the trigger was never to get.
    pub state: &'static str,
    /// What policy says of it: of a refused one what it said then, of others what it says now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Verdict>,
    /// What the filters say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The attempts that are known, oldest first.
    pub attempts: Vec<Attempt>,
    /// The attempt to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Next>,
    /// The job that redrove it, if this is about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redrive: Option<String>,
    /// The job that replayed it, if this is about that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
}

/// The questions of a delivery.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// May the trigger read the topic?
    pub consume: Asking,
    /// May the trigger leave the mesh itself? Of one with a `url:`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Asking>,
    /// May the publisher reach the target through it?
    pub deliver: Asking,
}

/// What filters say.
#[derive(Debug, Serialize)]
pub struct Filter {
    /// `pass` or `fail`.
    pub result: &'static str,
    /// The first term that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failing: Option<String>,
}

/// An attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// When; `null` if only its outcome is known.
    pub at: Option<String>,
    /// The status.
    pub status: Option<u16>,
    /// The reason code; `OK` for an answer of the subscriber's own.
    pub code: String,
    /// The decision.
    pub decision: Option<String>,
}

/// An attempt to come.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Next {
    /// Its number, from 1.
    pub attempt: u32,
    /// When; `null`: as soon as there is room.
    pub at: Option<String>,
}

pub(super) async fn explain(
    mesh: &Arc<Mesh>,
    search: &Search,
    may: impl Fn(&Namespaced) -> bool,
) -> Result<Found, String> {
    let snapshot = mesh.snapshot();
    let mut names: Vec<&Namespaced> = snapshot.topics.keys().filter(|name| may(name)).collect();
    names.retain(|name| search.topic.as_ref().is_none_or(|wanted| wanted == *name));
    names.sort();
    let (mut newest, mut left): (Option<(&Namespaced, Record)>, _) = (None, SEARCH_BYTES_MAX);
    for name in names {
        let Some(topic) = snapshot.topics.get(name) else { continue };
        let found = newest_of(topic.log.as_ref(), search, &mut left).await?;
        let later = |record: &Record| newest.as_ref().is_none_or(|(_, known)| record.admitted_ms > known.admitted_ms);
        if let Some(record) = found.filter(later) {
            newest = Some((name, record));
        }
    }
    let Some((name, record)) = newest else { return Ok(Found::Nowhere { more: left == 0 }) };
    let opened = mesh.envelopes.open(name, &record);
    let mut deliveries = Vec::new();
    for trigger in snapshot.triggers.values().filter(|trigger| trigger.topic == *name) {
        let event = opened.as_ref().ok().map(|(event, envelope)| (event, &envelope.caller));
        let live = Told { mesh, snapshot: &snapshot, trigger, consumer: trigger.consumer.as_ref(), mark: None };
        deliveries.push(live.delivery(record.sequence, event).await?);
        for (kind, lane) in trigger.again.lanes() {
            for (at, mark) in copies(lane, record.sequence).await? {
                let consumer = lane.consumer.as_ref();
                let told = Told { mesh, snapshot: &snapshot, trigger, consumer, mark: Some((kind, mark.job.clone())) };
                let marked = event.map(|(event, caller)| (mark.on(event.clone()), caller));
                let marked = marked.as_ref().map(|(event, caller)| (event, *caller));
                deliveries.push(told.delivery(at, marked).await?);
            }
        }
    }
    let place = (name.clone(), record.sequence);
    Ok(Found::One(Box::new(Delivered { event: kept(mesh, name, &record), deliveries, place })))
}

/// The newest event that is meant, from the end of the log backwards.
async fn newest_of(topic: &dyn Topic, search: &Search, left: &mut usize) -> Result<Option<Record>, String> {
    let bounds = topic.bounds();
    let mut until = bounds.next.get();
    while until > bounds.first.get() && *left > 0 {
        let from = until.saturating_sub(PAGE.0 as u64).max(bounds.first.get());
        let page = page(topic, from, until).await?;
        let bytes: usize = page.iter().map(|record| record.body.len()).sum();
        *left = left.saturating_sub(bytes.max(1));
        if let Some(record) = page.into_iter().rev().find(|record| is_meant(record, search)) {
            return Ok(Some(record));
        }
        until = from;
    }
    Ok(None)
}

/// All records of `from..until`.
pub(super) async fn page(topic: &dyn Topic, from: u64, until: u64) -> Result<Vec<Record>, String> {
    let mut page: Vec<Record> = Vec::new();
    let mut next = Sequence::new(from);
    while next.get() < until {
        let records = topic.read(next, PAGE.0, PAGE.1).await.map_err(|error| error.to_string())?;
        let Some(last) = records.last() else { break };
        next = last.sequence.next();
        page.extend(records.into_iter().filter(|record| record.sequence.get() < until));
    }
    Ok(page)
}

fn is_meant(record: &Record, search: &Search) -> bool {
    field(record, "id") == Some(&search.id)
        && search.source.as_deref().is_none_or(|source| field(record, "source") == Some(source))
}

/// An attribute of a kept event. Attributes have no slash, our own fields have.
pub(super) fn field<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// What a record says of its event.
pub(super) fn kept(mesh: &Mesh, topic: &Namespaced, record: &Record) -> Kept {
    let opened = mesh.envelopes.open(topic, record);
    let envelope = opened.as_ref().ok().map(|(_, envelope)| envelope);
    let caller = envelope.map(|envelope| &envelope.caller);
    let attribute = |name: &str| field(record, name).unwrap_or_default().to_owned();
    Kept {
        topic: topic.to_string(),
        sequence: record.sequence.to_string(),
        id: attribute("id"),
        source: attribute("source"),
        ty: attribute("type"),
        accepted: rfc3339(record.admitted_ms),
        principal: caller.map(|caller| caller.principal.to_string()),
        origin: caller.map(|caller| caller.origin.to_string()),
        via: caller.and_then(|caller| caller.via.as_ref()).map(ToString::to_string),
        hops: envelope.map(|envelope| envelope.hops),
        unreadable: opened.as_ref().err().map(ToString::to_string),
    }
}

/// The copies of an event in a lane, oldest first: where they are, and their marks.
async fn copies(lane: &Lane, source: Sequence) -> Result<Vec<(Sequence, Mark)>, String> {
    let bounds = lane.log.bounds();
    let (mut from, mut found) = (bounds.first.get(), Vec::new());
    while from < bounds.next.get() && found.len() < COPIES_MAX {
        let until = from.saturating_add(PAGE.0 as u64).min(bounds.next.get());
        let page = page(lane.log.as_ref(), from, until).await?;
        let marked = page.iter().filter_map(|record| Some((record.sequence, Mark::of(record)?)));
        found.extend(marked.filter(|(_, mark)| mark.source == source));
        from = until;
    }
    Ok(found)
}

/// A trigger's way with an event, live or once more.
struct Told<'a> {
    mesh: &'a Arc<Mesh>,
    snapshot: &'a Snapshot,
    trigger: &'a DeployedTrigger,
    consumer: &'a dyn Consumer,
    /// Why it came once more, and by which job.
    mark: Option<(Kind, String)>,
}

impl Told<'_> {
    async fn delivery(&self, sequence: Sequence, event: Option<(&Event, &Caller)>) -> Result<Delivery, String> {
        let Self { mesh, snapshot, trigger, consumer, .. } = self;
        let unreadable = |error: weft_eventlog::LogError| error.to_string();
        // What has ended was judged by the filters of its time, what waits will be by those of now.
        let over = consumer.state_of(sequence) == Some(EventState::Ended) && self.mark.is_none();
        let then = over.then(|| mesh.history.filters(&trigger.name, sequence)).flatten();
        let filters = then.as_ref().unwrap_or(&trigger.resource.spec.filters);
        let first_failing = event.and_then(|(event, _)| match filters.evaluate(event) {
            FilterVerdict::Pass => None,
            FilterVerdict::Fail { first_failing } => Some(first_failing),
        });
        let retry = consumer.retry_of(sequence).await.map_err(unreadable)?;
        let state = consumer.state_of(sequence);
        let dead = match state {
            Some(EventState::Ended) => dead(*consumer, sequence).await?,
            _ => None,
        };
        let (state, next) = standing(state, retry.as_ref(), dead.as_ref(), first_failing.is_some());
        let cause = dead.as_ref().map(|dead| &dead.cause).or_else(|| retry.as_ref().map(|retry| &retry.cause));
        // Decisions know an event by its place in the topic and not how often it came.
        let made = self.mark.is_none().then_some(sequence);
        let attempts = attempts(mesh, trigger, made, cause.map_or(&[], Vec::as_slice));
        let asked = matches!(state, "filtered" | "before_start");
        let policy = event.filter(|_| !asked).map(|(event, caller)| Verdict {
            consume: ask(snapshot, consume(trigger, event, caller).question()),
            egress: leave(trigger, caller).map(|question| ask(snapshot, question.question())),
            deliver: ask(snapshot, deliver(trigger, event, caller).question()),
        });
        let filter =
            event.map(|_| Filter { result: if first_failing.is_none() { "pass" } else { "fail" }, first_failing });
        Ok(Delivery {
            trigger: trigger.name.to_string(),
            target: destination(trigger),
            state,
            policy,
            filter,
            attempts,
            next,
            redrive: self.job(Kind::Redrive),
            replay: self.job(Kind::Replay),
        })
    }

    fn job(&self, kind: Kind) -> Option<String> {
        self.mark.as_ref().filter(|(of, _)| *of == kind).map(|(_, job)| job.clone())
    }
}

/// In words: the state, and the attempt to come.
fn standing(
    state: Option<EventState>,
    retry: Option<&RetryRecord>,
    dead: Option<&DeadRecord>,
    filtered: bool,
) -> (&'static str, Option<Next>) {
    let soon = Some(Next { attempt: retry.map_or(1, |retry| retry.attempt), at: None });
    match (state, dead) {
        (None, _) => ("before_start", None),
        (Some(EventState::Waiting), _) => ("waiting", soon),
        (Some(EventState::Leased), _) => ("in_flight", soon),
        (Some(EventState::Retrying { attempt, due_ms }), _) => {
            ("retrying", Some(Next { attempt, at: Some(rfc3339(due_ms)) }))
        }
        (Some(EventState::Ended), Some(dead)) => (dead.state.name(), None),
        (Some(EventState::Ended), None) if filtered => (Terminal::Filtered.name(), None),
        (Some(EventState::Ended), None) => (Terminal::Delivered.name(), None),
    }
}

/// The event's entry in the trigger's dead log, the last one if it was there more than once.
async fn dead(consumer: &dyn Consumer, sequence: Sequence) -> Result<Option<DeadRecord>, String> {
    let (mut found, mut after, mut seen) = (None, None, 0);
    loop {
        let entries = consumer.dead(after, PAGE.0).await.map_err(|error| error.to_string())?;
        let Some(last) = entries.last() else { return Ok(found) };
        after = Some(last.number);
        seen += entries.len();
        found = entries.into_iter().rev().find(|dead| covers(dead, sequence)).or(found);
        if seen >= DEAD_MAX {
            return Ok(found);
        }
    }
}

fn covers(dead: &DeadRecord, sequence: Sequence) -> bool {
    match &dead.what {
        DeadEvents::One(record) => record.sequence == sequence,
        DeadEvents::Range { first, last } => (*first..=*last).contains(&sequence),
    }
}

/// The attempts that are known: those of which the log tells, and those that are still in memory.
fn attempts(
    mesh: &Arc<Mesh>,
    trigger: &DeployedTrigger,
    made: Option<Sequence>,
    cause: &[(String, String)],
) -> Vec<Attempt> {
    let kept = PastAttempt::all(cause).into_iter().map(|past| Attempt {
        at: past.at_ms.map(rfc3339),
        status: past.status,
        code: past.code.unwrap_or_else(|| "OK".to_owned()),
        decision: past.decision,
    });
    let mut attempts: Vec<Attempt> = kept.collect();
    let made =
        made.map(|sequence| mesh.records.decisions().of_delivery(&trigger.identity, sequence)).unwrap_or_default();
    for (number, kept) in made.into_iter().filter(|(_, kept)| kept.verb == Verb::Deliver || kept.reason.is_some()) {
        let decision = mesh.records.id(number).to_string();
        if !attempts.iter().any(|attempt| attempt.decision.as_ref() == Some(&decision)) {
            attempts.push(Attempt {
                at: Some(rfc3339(kept.at_ms)),
                status: Some(kept.status),
                code: kept.reason.map_or("OK", |reason| reason.code()).to_owned(),
                decision: Some(decision),
            });
        }
    }
    // Times of one length, so their texts have their order; what has none is older.
    attempts.sort_by(|one, other| one.at.cmp(&other.at));
    attempts
}

#[cfg(test)]
mod tests;
