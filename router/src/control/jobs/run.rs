//! One job at work: takes events from its source, as many as its rate and its lane allow, and hands them in.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_eventlog::{AppendError, LogError};

use super::Jobs;
use super::source::{Found, Source};
use super::state::{Job, Phase};
use crate::path::again::Kind;
use crate::path::snapshot::{DeployedTopic, DeployedTrigger};
use crate::targets::topics;

/// Events of a lane that have not ended; a job waits for room. Few, so that one that is stopped stops soon.
const ROOM: u64 = 64;

/// How often a job looks whether there is room, whether its events have ended, and how its trigger is doing.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often at least a job that hands in nothing writes down how far it came.
const NOTE_EVERY: Duration = Duration::from_secs(5);

/// How long a job waits after the log failed.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Why a job goes no further.
enum End {
    /// The node stops; it goes on later.
    Later,
    /// It is over.
    Over(Phase, Option<String>),
}

/// Works until the job is over or the node stops.
pub(super) async fn run(jobs: &Arc<Jobs>, mut job: Job, stop: &CancellationToken) {
    let end = tokio::select! {
        biased;
        () = jobs.stop.cancelled() => End::Later,
        () = stop.cancelled() => End::Over(Phase::Stopped, None),
        end = work(jobs, &mut job) => end,
    };
    let End::Over(phase, why) = end else { return };
    job.phase = phase;
    job.why = why;
    job.ended_ms = Some(jobs.parts.clock.now_ms());
    if let Some((trigger, _, kind)) = found(jobs, &job) {
        job.outcome = Some(job.outcome(trigger.again.lane(kind).map(|lane| lane.consumer.counters()).as_ref()));
    }
    tracing::info!(target: "weft::job", job = %job.id, state = phase.as_str(), matched = job.tally.matched, "a job is over");
    while let Err(error) = jobs.note(&job).await {
        tracing::error!(job = %job.id, %error, "cannot write down that a job is over; trying again");
        if jobs.stop.run_until_cancelled(tokio::time::sleep(LOG_PAUSE)).await.is_none() {
            return;
        }
    }
}

fn found(jobs: &Jobs, job: &Job) -> Option<(Arc<DeployedTrigger>, Arc<DeployedTopic>, Kind)> {
    let snapshot = jobs.parts.mesh.snapshot();
    let trigger = snapshot.triggers.get(&job.trigger()?)?.clone();
    let topic = snapshot.topics.get(&trigger.topic)?.clone();
    Some((trigger, topic, job.kind()?))
}

/// Hands in events, then waits until they have ended.
async fn work(jobs: &Arc<Jobs>, job: &mut Job) -> End {
    let failed = |why: String| End::Over(Phase::Failed, Some(why));
    let Some((trigger, topic, kind)) = found(jobs, job) else { return failed("its trigger is gone".to_owned()) };
    if let Err(error) = trigger.again.open(jobs.parts.log.as_ref(), &trigger.name, kind).await {
        return failed(error.to_string());
    }
    let mut source = match Source::of(job, trigger.clone(), topic) {
        Ok(source) => source,
        Err(why) => return failed(why),
    };
    let (begun, tally) = (Instant::now(), job.tally);
    let (mut handed_in, mut noted) = (0_u64, Instant::now());
    while job.phase == Phase::Running {
        if !still_there(jobs, &trigger) {
            return failed("its trigger was deleted, or reads another topic now".to_owned());
        }
        // A tenth of a second's worth at once, and no more than there is room for.
        let most = u64::from(job.rate).div_ceil(10).min(room(&trigger, kind));
        if most == 0 {
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let next = source.next(most as usize).await;
        (job.tally.scanned, job.tally.gone) = (tally.scanned + source.tally.scanned, tally.gone + source.tally.gone);
        let events = match next {
            Ok(Some(events)) => events,
            Ok(None) => {
                job.phase = Phase::Draining;
                Vec::new()
            }
            Err(LogError::Closed { .. }) => return End::Later,
            Err(error) => {
                tracing::error!(job = %job.id, %error, "a job cannot read its events; trying again");
                tokio::time::sleep(LOG_PAUSE).await;
                continue;
            }
        };
        let many = events.len() as u64;
        if let Err(end) = hand_in(&trigger, kind, job, events).await {
            return end;
        }
        handed_in += many;
        job.place = source.place();
        if many > 0 || job.phase != Phase::Running || noted.elapsed() > NOTE_EVERY {
            noted = Instant::now();
            if let Err(error) = jobs.note(job).await {
                // After a restart it goes on from an earlier place, and what is handed in twice is recognised.
                tracing::warn!(job = %job.id, %error, "cannot write down how far a job came");
            }
        } else {
            jobs.shown(job);
        }
        let due = Duration::from_secs_f64(handed_in as f64 / f64::from(job.rate.max(1)));
        tokio::time::sleep_until(begun + due).await;
    }
    drain(jobs, &trigger, kind).await
}

/// Appends the copies; counts those that were handed in before. A log that is full or broken is waited for.
async fn hand_in(trigger: &DeployedTrigger, kind: Kind, job: &mut Job, events: Vec<Found>) -> Result<(), End> {
    let Some(lane) = trigger.again.lane(kind) else { return Ok(()) };
    let copies: Vec<_> = events.into_iter().map(|found| found.copy).collect();
    for chunk in topics::copies(copies) {
        loop {
            match topics::copy(lane, &chunk).await {
                Ok(there) => {
                    // What it handed in itself, and was interrupted before it had written that down, counts once.
                    let repeated = if job.names_its_copies() { 0 } else { there };
                    job.tally.repeated += repeated as u64;
                    job.tally.matched += (chunk.len() - repeated) as u64;
                    break;
                }
                Err(AppendError::Closed { .. }) => return Err(End::Later),
                Err(error) => {
                    tracing::error!(job = %job.id, %error, "a job cannot hand in its events; trying again");
                    tokio::time::sleep(LOG_PAUSE).await;
                }
            }
        }
    }
    Ok(())
}

/// How many more events the lane takes.
fn room(trigger: &DeployedTrigger, kind: Kind) -> u64 {
    trigger.again.lane(kind).map_or(0, |lane| ROOM.saturating_sub(lane.consumer.counters().pending))
}

/// Whether the trigger that a job works for is the one that is in force: changed, perhaps, but with the same position.
fn still_there(jobs: &Jobs, trigger: &DeployedTrigger) -> bool {
    let snapshot = jobs.parts.mesh.snapshot();
    snapshot.triggers.get(&trigger.name).is_some_and(|now| Arc::ptr_eq(&now.again, &trigger.again))
}

/// Waits until the lane's events have ended.
async fn drain(jobs: &Jobs, trigger: &DeployedTrigger, kind: Kind) -> End {
    while trigger.again.lane(kind).is_some_and(|lane| lane.consumer.counters().pending > 0) {
        if !still_there(jobs, trigger) {
            return End::Over(Phase::Failed, Some("its trigger was deleted, or reads another topic now".to_owned()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    End::Over(Phase::Done, None)
}
