//! One attempt at a leased event: whether it is to be delivered at all now, and how the log is told what came of it.
//! Here stands only what is peculiar to events: filters, their time, the schedule, and dead letters.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weft_eventlog::{Lease, MAX_RETRY_DELAY, Sequence, Settlement, Terminal};
use weft_functions::event::Event;
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;
use weft_runtime::full;

use super::handshake::{Handshake, Turn};
use super::lane::Lane;
use super::report::Report;
use super::rights::leaving;
use super::terms::{Moment, Terms};
use super::{Parts, dead_letter, retry};
use crate::path::again::Mark;
use crate::path::call::{Call, Target};
use crate::path::caller::Caller;
use crate::path::circuit::Finding;
use crate::path::envelope::{Envelope, EnvelopeError};
use crate::path::outcome::{Disposition, Reason};
use crate::path::snapshot::DeployedTrigger;

/// An event on its way to its trigger's destination.
pub(super) struct Attempt<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) trigger: &'a DeployedTrigger,
    pub(super) lease: &'a Lease,
    pub(super) event: Event,
    pub(super) envelope: Envelope,
    /// Its place in the trigger's topic.
    pub(super) source: Sequence,
    pub(super) handshake: &'a Handshake,
}

/// What an attempt came to.
pub(super) struct Verdict {
    /// For the log.
    pub(super) settlement: Settlement,
    /// For the trigger's circuit.
    pub(super) finding: Finding,
    /// How long the target wants to be left alone, if it said so.
    pub(super) after: Option<Duration>,
}

impl Verdict {
    /// A settlement that says nothing of the target.
    fn only(settlement: Settlement) -> Self {
        Self { settlement, finding: Finding::Nothing, after: None }
    }
}

/// Delivers one leased event once and says how to settle it.
pub(super) async fn run(lane: &Lane, lease: &Lease) -> Verdict {
    match Attempt::of(lane, lease) {
        Ok(attempt) => attempt.run().await,
        Err(error) => Verdict::only(refuse(lane, lease, &error).await),
    }
}

/// How to settle an event that need not be delivered, or not yet: while the target is left alone. `None` of any other,
/// with how long it can wait.
pub(super) fn without_call(lane: &Lane, lease: &Lease) -> Result<Settlement, Option<Duration>> {
    let Ok(attempt) = Attempt::of(lane, lease) else { return Err(None) };
    if Report::awaiting_copy(&lease.last_cause).is_some() {
        return Err(None);
    }
    let left = Duration::from_millis(attempt.terms().latest_ms.saturating_sub(lane.parts.clock.now_ms()));
    attempt.without_call().ok_or(Some(left))
}

/// Ends an event of which nobody can say who published it, or that is none. It goes through the pipeline as a call of
/// nobody to nowhere, so that the refusal is recorded like any other.
async fn refuse(lane: &Lane, lease: &Lease, error: &EnvelopeError) -> Settlement {
    let Lane { parts, trigger, .. } = lane;
    let sequence = lease.record.sequence;
    tracing::error!(trigger = %trigger.name, %sequence, error = error.to_string(), "cannot deliver a kept event");
    let call = Call {
        verb: Verb::Deliver,
        target: Target::Nowhere(error.into()),
        caller: Caller { via: Some(trigger.identity.clone().into()), ..Caller::nobody() },
        request: http::Request::new(full("")),
        deadline: Instant::now(),
        hops: 0,
        cause: None,
        events: None,
    };
    let answer = parts.calls.handle(call).await;
    let state = match error.reason() {
        Reason::EnvelopeUnproven => Terminal::Denied,
        _ => Terminal::Dead,
    };
    let cause = [
        ("code", answer.outcome.code().to_owned()),
        ("why", error.to_string()),
        ("decision", answer.decision.to_string()),
    ];
    Settlement::Dead { state, cause: cause.map(|(name, value)| (name.to_owned(), value)).into() }
}

impl<'a> Attempt<'a> {
    fn of(lane: &'a Lane, lease: &'a Lease) -> Result<Self, EnvelopeError> {
        let Lane { parts, trigger, handshake, .. } = lane;
        let (event, envelope) = parts.mesh.envelopes.open(&trigger.topic, &lease.record)?;
        // What comes once more says so, and is still the event it was.
        let mark = lane.kind.and_then(|_| Mark::of(&lease.record));
        let source = mark.as_ref().map_or(lease.record.sequence, |mark| mark.source);
        let event = match mark {
            Some(mark) => mark.on(event),
            None => event,
        };
        Ok(Attempt { parts, trigger, lease, event, envelope, source, handshake })
    }

    async fn run(&self) -> Verdict {
        let awaiting_copy = Report::awaiting_copy(&self.lease.last_cause);
        if awaiting_copy.is_none()
            && let Some(settlement) = self.without_call()
        {
            return Verdict::only(settlement);
        }
        if let Err(refused) = self.may_consume().await {
            return self.settle(refused).await;
        }
        if let Some(report) = awaiting_copy {
            return self.die(report, Finding::Nothing).await;
        }
        let made = self.request();
        if let Some(leaving) = leaving(&made)
            && let Err(refused) = self.may_leave(leaving).await
        {
            return self.settle(refused).await;
        }
        let report = match self.consent().await {
            Ok(turn) => {
                tokio::time::sleep_until(turn.at).await;
                // It may have taken its time.
                if let Some(settlement) = self.without_call() {
                    return Verdict::only(settlement);
                }
                self.deliver(made).await
            }
            Err(report) => report,
        };
        self.settle(report).await
    }

    /// When the event may go out; the report of one that may not.
    async fn consent(&self) -> Result<Turn, Report> {
        let spec = &self.trigger.resource.spec;
        let Destination::Url(url) = &spec.destination else { return Ok(Turn { at: Instant::now() }) };
        let turn = self.handshake.turn(spec.delivery.handshake, self.ask_consent(url)).await?;
        turn.ok_or_else(|| Report::failed(Reason::UpNoConsent, None).made_at(self.parts.clock.now_ms()))
    }

    /// Ends or puts aside what is not to be delivered, or not yet.
    fn without_call(&self) -> Option<Settlement> {
        if !self.trigger.resource.spec.filters.pass(&self.event) {
            return Some(Settlement::Done(Terminal::Filtered));
        }
        match self.terms().at(self.parts.clock.now_ms()) {
            Moment::Now => None,
            Moment::Over => Some(self.expire()),
            Moment::Early { due_ms } => {
                Some(Settlement::Retry { due_ms, cause: self.lease.last_cause.clone(), counted: false })
            }
        }
    }

    fn terms(&self) -> Terms {
        Terms::of(self.lease, &self.event, &self.trigger.resource.spec.delivery)
    }

    /// Ends an event whose time is over; what the last attempt at it found is kept.
    fn expire(&self) -> Settlement {
        let mut cause = vec![("code".to_owned(), "EVENT_EXPIRED".to_owned())];
        cause.extend(Report::history(self.lease));
        Settlement::Dead { state: Terminal::Expired, cause }
    }

    async fn settle(&self, report: Report) -> Verdict {
        let Lease { record, attempt, .. } = self.lease;
        let delivery = &self.trigger.resource.spec.delivery;
        let jitter = |number| retry::jitter(self.parts.seed, record.sequence.get(), number);
        let finding = match report.disposition {
            Disposition::Ack => {
                return Verdict {
                    settlement: Settlement::Done(Terminal::Delivered),
                    finding: Finding::Answered,
                    after: None,
                };
            }
            Disposition::Deny => {
                let settlement = Settlement::Dead { state: Terminal::Denied, cause: report.cause(self.lease) };
                return Verdict::only(settlement);
            }
            Disposition::Unavailable { after } => {
                let deferred = Report::deferred(self.lease) + 1;
                let wait = retry::deferral(delivery, deferred, after, jitter(deferred));
                let settlement = self.again(wait, report.cause_deferred(self.lease, deferred), false);
                return Verdict { settlement, finding: Finding::Unavailable, after };
            }
            Disposition::Retry => {
                if let Some(wait) = retry::next(delivery, *attempt, jitter(*attempt)) {
                    let settlement = self.again(wait, report.cause(self.lease), true);
                    return Verdict { settlement, finding: Finding::Failed(self.source), after: None };
                }
                Finding::Failed(self.source)
            }
            Disposition::Dead => Finding::Answered,
        };
        tracing::warn!(
            target: "weft::delivery", trigger = %self.trigger.name, sequence = %self.source, event = self.event.id(),
            attempt, status = report.status.as_u16(), code = report.code.unwrap_or_default(), "the event is dead"
        );
        self.die(report, finding).await
    }

    /// Keeps the copy for the dead letter topic, then ends the event. The source is not settled before its copy is kept
    /// (`threats.md` H-09): a copy that cannot be kept now is tried again by itself, without another call, until
    /// `maxAge`, and the trigger pauses meanwhile.
    async fn die(&self, report: Report, finding: Finding) -> Verdict {
        let Err(why) = dead_letter::copy(self, &report).await else {
            let settlement = Settlement::Dead { state: Terminal::Dead, cause: report.cause(self.lease) };
            return Verdict { settlement, finding, after: None };
        };
        tracing::error!(
            alarm = "dead_letter", trigger = %self.trigger.name, sequence = %self.source, why,
            "cannot keep a dead letter's copy; the trigger pauses"
        );
        if self.terms().at(self.parts.clock.now_ms()) == Moment::Over {
            let cause = report.cause_without_copy(self.lease, why);
            return Verdict { settlement: Settlement::Dead { state: Terminal::Dead, cause }, finding, after: None };
        }
        let wait = self.trigger.resource.spec.delivery.backoff_max.get();
        let settlement = self.again(wait, report.cause_awaiting_copy(self.lease), false);
        Verdict { settlement, finding: Finding::Unavailable, after: None }
    }

    /// Puts the event aside for `wait`, and no longer than its time lasts.
    fn again(&self, wait: Duration, mut cause: Vec<(String, String)>, counted: bool) -> Settlement {
        let now_ms = self.parts.clock.now_ms();
        let due_ms = now_ms.saturating_add(wait.as_millis() as u64);
        let due_ms = due_ms.min(self.terms().latest_ms.max(now_ms));
        if wait > MAX_RETRY_DELAY {
            // The log hands it out earlier than that.
            cause.push((super::terms::HELD.to_owned(), due_ms.to_string()));
        }
        Settlement::Retry { due_ms, cause, counted }
    }
}
