//! Redrives and replays, as jobs that can be watched and stopped: each copies events into a lane of its trigger, no faster
//! than it may and no further ahead than the lane is delivered, and remembers how far it came, so that a restart goes on
//! where it was. What is delivered how is delivery's business; a job only says what is to be delivered once more.

mod run;
mod source;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weft_eventlog::{Clock, EventLog, Journal, LogError};
use weft_functions::value::Namespaced;

pub use self::source::Wanted;
pub use self::state::{Job, Order, Phase};
use crate::path::Mesh;

/// The journal of jobs in the event log.
const JOURNAL: &str = "weft-system/jobs";

/// Jobs that are over and still remembered.
const REMEMBERED: usize = 100;

/// Jobs that go on at once.
const GOING_ON: usize = 64;

/// Entries after which a checkpoint is made.
const COMPACT_AFTER: usize = 1_000;

/// Why a job was not begun or found.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is no such trigger, or it does not run.
    #[error("no trigger is named {0}, or it is not in force")]
    NoTrigger(Namespaced),
    /// One of its kind is going on for the trigger.
    #[error("{0} is going on for this trigger: wait for it or stop it")]
    GoingOn(String),
    /// Too many are going on.
    #[error("{GOING_ON} jobs are going on: wait for one or stop one")]
    TooMany,
    /// There is no such job.
    #[error("no job has the id {0}")]
    NoJob(String),
    /// The log cannot be used now.
    #[error("jobs cannot be kept: {0}")]
    Log(#[from] LogError),
}

/// What jobs need of the node.
pub struct Parts {
    /// Keeps lanes and jobs.
    pub log: Arc<dyn EventLog>,
    /// What is deployed.
    pub mesh: Arc<Mesh>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Told that a trigger has a lane that it had not.
    pub on_lane: Arc<dyn Fn() + Send + Sync>,
}

/// All jobs of the node.
pub struct Jobs {
    parts: Parts,
    /// One entry is written at a time; how many there are since the checkpoint.
    journal: tokio::sync::Mutex<(Arc<dyn Journal>, usize)>,
    entries: Mutex<BTreeMap<u64, Entry>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A job that is known.
struct Entry {
    job: watch::Sender<Job>,
    /// Somebody wants it to stop.
    stop: CancellationToken,
}

impl Jobs {
    /// Reads what is known of jobs. Those that were going on go on with [`Self::resume`].
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn open(parts: Parts) -> Result<Arc<Self>, LogError> {
        let journal = parts.log.journal(JOURNAL).await?;
        let contents = journal.read_all().await?;
        let mut known: BTreeMap<u64, Job> = BTreeMap::new();
        let checkpoint =
            contents.checkpoint.iter().flat_map(|checkpoint| checkpoint.bytes.split(|byte| *byte == b'\n'));
        let written = checkpoint.chain(contents.entries.iter().map(|entry| &entry.bytes[..]));
        for job in written.filter_map(Job::read) {
            known.extend(job.number().map(|number| (number, job)));
        }
        let entry = |(number, job)| (number, Entry { job: watch::Sender::new(job), stop: CancellationToken::new() });
        let mut entries = known.into_iter().map(entry).collect();
        forget(&mut entries);
        Ok(Arc::new(Self {
            parts,
            journal: tokio::sync::Mutex::new((journal, contents.entries.len())),
            entries: Mutex::new(entries),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Goes on with the jobs that were going on when the node stopped. To be called once, when triggers are in force.
    pub fn resume(self: &Arc<Self>) {
        let going_on = |(number, entry): (&u64, &Entry)| (!entry.job.borrow().phase.is_over()).then_some(*number);
        let numbers: Vec<u64> = self.entries().iter().filter_map(going_on).collect();
        numbers.into_iter().for_each(|number| self.go(number));
    }

    /// Begins a job; its id.
    ///
    /// # Errors
    /// See [`JobError`].
    pub async fn begin(self: &Arc<Self>, order: Order) -> Result<String, JobError> {
        let trigger = self.parts.mesh.snapshot().triggers.get(&order.trigger).cloned();
        let trigger = trigger.ok_or_else(|| JobError::NoTrigger(order.trigger.clone()))?;
        // Held until the job is written: two that begin at once do not both.
        let mut journal = self.journal.lock().await;
        let number = self.place(&order)?;
        let lane = trigger.again.open(self.parts.log.as_ref(), &trigger.name, order.kind).await?;
        let job = Job::new(number, order, self.parts.clock.now_ms(), &lane.consumer.counters());
        self.write(&mut journal, &job).await?;
        drop(journal);
        (self.parts.on_lane)();
        let id = job.id.clone();
        tracing::info!(target: "weft::job", job = %id, trigger = %trigger.name, by = job.by, "a job begins");
        self.entries().insert(number, Entry { job: watch::Sender::new(job), stop: CancellationToken::new() });
        self.go(number);
        Ok(id)
    }

    /// The number of a job that may begin now.
    fn place(&self, order: &Order) -> Result<u64, JobError> {
        let entries = self.entries();
        let going_on: Vec<_> =
            entries.values().map(|entry| entry.job.borrow()).filter(|job| !job.phase.is_over()).collect();
        let same = |job: &&watch::Ref<'_, Job>| {
            job.trigger().as_ref() == Some(&order.trigger) && job.kind() == Some(order.kind)
        };
        if let Some(job) = going_on.iter().find(same) {
            return Err(JobError::GoingOn(job.id.clone()));
        }
        if going_on.len() >= GOING_ON {
            return Err(JobError::TooMany);
        }
        Ok(entries.last_key_value().map_or(1, |(last, _)| last + 1))
    }

    /// All jobs that are known, newest first, as far as `may` lets them be seen.
    pub fn list(&self, may: impl Fn(&Namespaced) -> bool) -> Vec<Value> {
        let jobs: Vec<Job> = self.entries().values().rev().map(|entry| entry.job.borrow().clone()).collect();
        let seen = jobs.into_iter().filter(|job| job.trigger().is_some_and(|trigger| may(&trigger)));
        seen.map(|job| self.show(&job)).collect()
    }

    /// The trigger of a job.
    ///
    /// # Errors
    /// `NoJob`
    pub fn trigger_of(&self, id: &str) -> Result<Namespaced, JobError> {
        self.of(id, |entry| entry.job.borrow().trigger())?.ok_or_else(|| JobError::NoJob(id.to_owned()))
    }

    /// A job as it stands.
    ///
    /// # Errors
    /// `NoJob`
    pub fn one(&self, id: &str) -> Result<Value, JobError> {
        let job = self.of(id, |entry| entry.job.borrow().clone())?;
        Ok(self.show(&job))
    }

    /// Asks a job to stop; one that is over stays as it is. What it has handed in is delivered.
    ///
    /// # Errors
    /// `NoJob`
    pub fn stop_one(&self, id: &str) -> Result<(), JobError> {
        self.of(id, |entry| entry.stop.cancel())
    }

    /// Ends all work; jobs go on when the node starts again.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn show(&self, job: &Job) -> Value {
        let trigger = job.trigger().and_then(|trigger| self.parts.mesh.snapshot().triggers.get(&trigger).cloned());
        let lane =
            trigger.zip(job.kind()).and_then(|(trigger, kind)| Some(trigger.again.lane(kind)?.consumer.counters()));
        job.to_json(lane.as_ref())
    }

    fn of<T>(&self, id: &str, read: impl FnOnce(&Entry) -> T) -> Result<T, JobError> {
        let number = id.strip_prefix("j-").and_then(|number| number.parse().ok());
        let entries = self.entries();
        let entry = number.and_then(|number: u64| entries.get(&number));
        entry.map(read).ok_or_else(|| JobError::NoJob(id.escape_debug().take(64).collect()))
    }

    /// Works on a job until it is over or the node stops.
    fn go(self: &Arc<Self>, number: u64) {
        let Some((job, stop)) =
            self.entries().get(&number).map(|entry| (entry.job.borrow().clone(), entry.stop.clone()))
        else {
            return;
        };
        let jobs = self.clone();
        self.tasks.spawn(async move { run::run(&jobs, job, &stop).await });
    }

    /// Writes down how a job stands, and shows it.
    async fn note(&self, job: &Job) -> Result<(), LogError> {
        let mut journal = self.journal.lock().await;
        self.write(&mut journal, job).await?;
        drop(journal);
        self.shown(job);
        Ok(())
    }

    /// Shows how a job stands, without writing it down.
    fn shown(&self, job: &Job) {
        let mut entries = self.entries();
        if let Some(entry) = job.number().and_then(|number| entries.get(&number)) {
            entry.job.send_replace(job.clone());
        }
        forget(&mut entries);
    }

    async fn write(&self, journal: &mut (Arc<dyn Journal>, usize), job: &Job) -> Result<(), LogError> {
        let appended = journal.0.append(text(job)).await?;
        journal.1 += 1;
        if journal.1 < COMPACT_AFTER {
            return Ok(());
        }
        let others = self.entries().values().map(|entry| entry.job.borrow().clone()).collect::<Vec<_>>();
        let others = others.iter().filter(|other| other.id != job.id);
        let all: Vec<Bytes> = others.chain([job]).map(text).collect();
        journal.0.compact(appended.get().next(), all.join(&b'\n').into()).await?;
        journal.1 = 0;
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<u64, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn text(job: &Job) -> Bytes {
    // Texts and numbers always have a JSON form, in one line.
    serde_json::to_vec(job).unwrap_or_default().into()
}

/// Forgets the oldest jobs that are over, but for as many as are remembered.
fn forget(entries: &mut BTreeMap<u64, Entry>) {
    let over = |entry: &Entry| entry.job.borrow().phase.is_over();
    let surplus = entries.values().filter(|entry| over(entry)).count().saturating_sub(REMEMBERED);
    let oldest = entries.iter().filter(|(_, entry)| over(entry)).map(|(number, _)| *number).take(surplus);
    for number in oldest.collect::<Vec<u64>>() {
        entries.remove(&number);
    }
}
