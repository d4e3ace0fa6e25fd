//! Where a job finds its events: in the topic, or in the dead logs of the trigger and of its lanes. What it gives are copies
//! with their marks; who may have them and how fast is for others to say.

use std::collections::VecDeque;
use std::sync::Arc;

use weft_eventlog::{DeadEvents, LogError, Record, Sequence};
use weft_functions::cesql::Expression;
use weft_functions::event::Event;

use super::state::{Job, Place, Tally};
use crate::path::again::{Kind, Mark};
use crate::path::envelope;
use crate::path::snapshot::{DeployedTopic, DeployedTrigger};
use crate::targets::topics::Copy;

/// Events and bytes that are read at once.
const PAGE: (usize, usize) = (1_024, 4 << 20);

/// Entries of a dead log that are read at once; each may hold a large event.
const DEAD_PAGE: usize = 256;

/// A job's events, in their order.
pub(super) struct Source {
    job: String,
    trigger: Arc<DeployedTrigger>,
    topic: Arc<DeployedTopic>,
    wanted: Wanted,
    /// Of a replay: where it ends.
    until: Option<Sequence>,
    /// Of a redrive: what died later than that is not part of it.
    begun_ms: u64,
    place: Place,
    /// What this has seen since it began.
    pub(super) tally: Tally,
    /// Read, and not given out.
    ready: VecDeque<Found>,
}

/// An event to be delivered once more.
pub(super) struct Found {
    pub(super) copy: Copy,
    /// Where the job goes on after it.
    pub(super) place: Place,
}

/// Which events are wanted.
pub struct Wanted {
    /// Only the event of this id.
    pub event: Option<String>,
    /// Only events of this source.
    pub source: Option<String>,
    /// Only events for which this expression is true.
    pub filter: Option<Expression>,
}

impl Wanted {
    /// Whether an event is one of these.
    pub fn takes(&self, event: &Event) -> bool {
        self.event.as_deref().is_none_or(|id| event.id() == id)
            && self.source.as_deref().is_none_or(|source| event.source() == source)
            && self.filter.as_ref().is_none_or(|filter| filter.holds(event))
    }
}

impl Source {
    /// The events of this job that come after its place.
    ///
    /// # Errors
    /// Its expression cannot be read by this version.
    pub(super) fn of(job: &Job, trigger: Arc<DeployedTrigger>, topic: Arc<DeployedTopic>) -> Result<Self, String> {
        let filter = job.filter.as_deref().map(Expression::parse).transpose().map_err(|error| error.to_string())?;
        let wanted = Wanted { event: job.event.clone(), source: job.source.clone(), filter };
        let until = (job.kind() == Some(Kind::Replay)).then(|| Sequence::new(job.range.1));
        Ok(Self {
            job: job.id.clone(),
            trigger,
            topic,
            wanted,
            until,
            begun_ms: job.begun_ms,
            place: job.place,
            tally: Tally::default(),
            ready: VecDeque::new(),
        })
    }

    /// Where it has come to: everything before is given out.
    pub(super) fn place(&self) -> Place {
        self.ready
            .front()
            .map_or(self.place, |found| Place { after: found.place.after.saturating_sub(1), ..found.place })
    }

    /// The next events, at most `max`; `None` when there are no more. Empty when a page held none that is wanted.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) async fn next(&mut self, max: usize) -> Result<Option<Vec<Found>>, LogError> {
        if self.ready.is_empty() {
            let more = match self.until {
                Some(until) => self.read_topic(until).await?,
                None => self.read_dead().await?,
            };
            if !more {
                return Ok(None);
            }
        }
        let given = self.ready.len().min(max);
        Ok(Some(self.ready.drain(..given).collect()))
    }

    /// Reads a page of the topic. Whether there may be more.
    async fn read_topic(&mut self, until: Sequence) -> Result<bool, LogError> {
        let from = Sequence::new(self.place.after).next();
        let records = if from < until { self.topic.log.read(from, PAGE.0, PAGE.1).await? } else { Vec::new() };
        let mut any = false;
        for record in records.into_iter().take_while(|record| record.sequence < until) {
            any = true;
            self.tally.scanned += 1;
            self.place.after = record.sequence.get();
            let mark = Mark { kind: Kind::Replay, job: self.job.clone(), source: record.sequence };
            let id = format!("replay/{}/{}", self.job, record.sequence);
            // What the trigger would filter out is not its event.
            self.offer(record, mark, id, true);
        }
        Ok(any)
    }

    /// Reads a page of a dead log. Whether there may be more.
    async fn read_dead(&mut self) -> Result<bool, LogError> {
        let Some(consumer) = self.trigger.dead_log(self.place.source.into()) else {
            self.place = Place { source: self.place.source + 1, after: 0 };
            return Ok(usize::from(self.place.source) <= Kind::ALL.len());
        };
        let entries = consumer.dead(Some(self.place.after), DEAD_PAGE).await?;
        let old = entries.into_iter().take_while(|entry| entry.at_ms <= self.begun_ms).collect::<Vec<_>>();
        if old.is_empty() {
            self.place = Place { source: self.place.source + 1, after: 0 };
            return Ok(usize::from(self.place.source) <= Kind::ALL.len());
        }
        for entry in old {
            self.tally.scanned += 1;
            self.place.after = entry.number;
            let record = match entry.what {
                DeadEvents::One(record) => record,
                DeadEvents::Range { first, last } => {
                    self.tally.gone += last.get() - first.get() + 1;
                    continue;
                }
            };
            let before = Mark::of(&record).filter(|_| self.place.source > 0);
            // What died again since this job handed it in is for another job.
            if before.as_ref().is_some_and(|mark| mark.job == self.job) {
                continue;
            }
            let source = before.map_or(record.sequence, |mark| mark.source);
            let mark = Mark { kind: Kind::Redrive, job: self.job.clone(), source };
            // An entry is redriven once, unless it is asked for by its id.
            let scope = if self.wanted.event.is_some() { self.job.as_str() } else { "any" };
            let id = format!("redrive/{scope}/{}/{}", self.place.source, entry.number);
            self.offer(record, mark, id, false);
        }
        Ok(true)
    }

    fn offer(&mut self, record: Record, mark: Mark, id: String, filtered: bool) {
        // What is no event, or not proven to be one, is for delivery to refuse on record; it matches nothing here.
        let Ok(event) = envelope::event(&record) else { return };
        let event = mark.on(event);
        let passes = !filtered || self.trigger.resource.spec.filters.pass(&event);
        if passes && self.wanted.takes(&event) {
            self.ready.push_back(Found { copy: Copy { record, mark, id }, place: self.place });
        }
    }
}
