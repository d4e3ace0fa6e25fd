//! Many triggers on one topic: each event is read and decoded once, an index says which triggers may want it, and only those
//! are told of it at once. The others learn now and then how far the topic was sorted. So an event costs what the triggers
//! cost that want it. What a trigger is told of, its worker delivers as ever, filters and all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_eventlog::{LogError, Record, Sequence, Topic};
use weft_functions::event::Event;
use weft_functions::filter::FilterIndex;

use crate::path::envelope;
use crate::path::snapshot::DeployedTrigger;

/// Triggers of a topic from which on it is sorted; few may as well read for themselves.
pub(super) const SORTED_FROM: usize = 16;

/// Events and bytes that are read at once.
const PAGE: (usize, usize) = (256, 1 << 20);

/// How long at most a trigger that wants nothing does not learn how far the topic was sorted.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// How long to wait after the log failed.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// A sorter at work.
pub(super) struct Running {
    triggers: Vec<Arc<DeployedTrigger>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts sorting a topic for these triggers, once the sorter before has ended.
    pub(super) fn start(topic: Arc<dyn Topic>, triggers: Vec<Arc<DeployedTrigger>>, before: Option<Self>) -> Self {
        let stop = CancellationToken::new();
        let (sorted_for, stopped) = (triggers.clone(), stop.clone());
        let task = tokio::spawn(async move {
            if let Some(before) = before {
                before.end().await;
            }
            let work = Sorter::new(topic, sorted_for).run();
            // The log is gone, or nobody needs this any more.
            let _ended = stopped.run_until_cancelled(work).await;
        });
        Self { triggers, stop, task }
    }

    /// Whether it sorts for these triggers and no others.
    pub(super) fn is_for(&self, triggers: &[Arc<DeployedTrigger>]) -> bool {
        let same = |(one, other): (&Arc<DeployedTrigger>, &Arc<DeployedTrigger>)| Arc::ptr_eq(one, other);
        self.triggers.len() == triggers.len() && self.triggers.iter().zip(triggers).all(same)
    }

    /// Stops sorting. Its triggers are told of nothing new until they are sorted for again, or [`Self::release`]d.
    pub(super) async fn end(self) {
        self.stop.cancel();
        // One that panicked has said so in the log.
        let _ended = self.task.await;
    }

    /// Stops sorting for good: the triggers read for themselves again.
    pub(super) async fn release(self) {
        let triggers = self.triggers.clone();
        self.end().await;
        triggers.iter().for_each(|trigger| trigger.consumer.unhold());
    }
}

struct Sorter {
    topic: Arc<dyn Topic>,
    triggers: Vec<Arc<DeployedTrigger>>,
    index: FilterIndex,
    /// How far each trigger was told.
    told: Vec<Sequence>,
    /// Everything before is sorted, for all triggers but those that are behind.
    head: Sequence,
    /// Triggers that have more to catch up with, or no room for more at present.
    behind: BTreeSet<usize>,
    /// When everybody was told last.
    told_all: Instant,
}

/// What a page of the topic holds.
struct Page {
    until: Sequence,
    /// Events that can be judged.
    events: Vec<(Sequence, Event)>,
    /// Those that are gone or cannot be read: each trigger is told, since each has to account for them.
    for_all: Vec<Sequence>,
}

impl Page {
    fn of(from: Sequence, next: Sequence, records: Vec<Record>) -> Self {
        let mut page = Self { until: from, events: Vec::with_capacity(records.len()), for_all: Vec::new() };
        for record in records {
            if !page.skip_to(record.sequence) {
                return page;
            }
            page.until = record.sequence.next();
            match envelope::event(&record) {
                Ok(event) => page.events.push((record.sequence, event)),
                Err(_) => page.for_all.push(record.sequence),
            }
        }
        if page.events.is_empty() && page.for_all.is_empty() {
            page.skip_to(next);
        }
        page
    }

    /// Notes what is missing before `sequence`, at most a page of it at once. Whether that is all.
    fn skip_to(&mut self, sequence: Sequence) -> bool {
        while self.until < sequence {
            if self.for_all.len() >= PAGE.0 {
                return false;
            }
            self.for_all.push(self.until);
            self.until = self.until.next();
        }
        true
    }
}

impl Sorter {
    fn new(topic: Arc<dyn Topic>, triggers: Vec<Arc<DeployedTrigger>>) -> Self {
        let index = FilterIndex::new(triggers.iter().map(|trigger| &trigger.resource.spec.filters));
        let told: Vec<Sequence> = triggers.iter().map(|trigger| trigger.consumer.hold()).collect();
        let head = told.iter().copied().max().unwrap_or(topic.bounds().next);
        let behind = (0..told.len()).filter(|at| told[*at] < head).collect();
        Self { topic, triggers, index, told, head, behind, told_all: Instant::now() }
    }

    /// Sorts until the topic is closed.
    async fn run(mut self) {
        let mut watch = self.topic.watch();
        loop {
            watch.borrow_and_update();
            let more = match self.step().await {
                Ok(more) => more,
                Err(LogError::Closed { .. }) => return,
                Err(error) => {
                    tracing::error!(topic = self.topic.name(), %error, "cannot sort events; trying again");
                    tokio::time::sleep(LOG_PAUSE).await;
                    continue;
                }
            };
            if self.told_all.elapsed() >= TELL_EVERY {
                self.tell_all();
            }
            if more {
                tokio::task::yield_now().await;
                continue;
            }
            let waits = !self.behind.is_empty() || self.told.iter().any(|told| *told < self.head);
            let due = self.told_all + TELL_EVERY;
            tokio::select! {
                changed = watch.changed() => if changed.is_err() { return },
                () = tokio::time::sleep_until(due), if waits => self.tell_all(),
            }
        }
    }

    /// Sorts a page at the head, and a page for each trigger that is behind. Whether there is more to do at once.
    async fn step(&mut self) -> Result<bool, LogError> {
        let advanced = self.advance().await?;
        let mut caught_up = false;
        for at in self.behind.clone() {
            caught_up |= self.catch_up(at).await?;
        }
        Ok(advanced || caught_up)
    }

    async fn page(&self, from: Sequence) -> Result<Page, LogError> {
        // Asked for before the read: what is missing before it is missing for good.
        let next = self.topic.bounds().next;
        let records = if from < next { self.topic.read(from, PAGE.0, PAGE.1).await? } else { Vec::new() };
        Ok(Page::of(from, next, records))
    }

    async fn advance(&mut self) -> Result<bool, LogError> {
        let page = self.page(self.head).await?;
        if page.until <= self.head {
            return Ok(false);
        }
        let mut wanted: HashMap<usize, Vec<Sequence>> = HashMap::new();
        for (sequence, event) in &page.events {
            for at in self.index.candidates(event) {
                if self.triggers[at].resource.spec.filters.pass(event) {
                    wanted.entry(at).or_default().push(*sequence);
                }
            }
        }
        if !page.for_all.is_empty() {
            for at in 0..self.triggers.len() {
                let wanted = wanted.entry(at).or_default();
                wanted.extend(&page.for_all);
                wanted.sort_unstable();
            }
        }
        self.head = page.until;
        for (at, passing) in wanted {
            if !self.behind.contains(&at) {
                self.tell(at, page.until, &passing);
            }
        }
        Ok(true)
    }

    /// Sorts a page for one trigger. Whether it came further and is not at the head yet.
    async fn catch_up(&mut self, at: usize) -> Result<bool, LogError> {
        let from = self.told[at];
        let page = self.page(from).await?;
        let until = page.until.min(self.head);
        let filters = &self.triggers[at].resource.spec.filters;
        let passing = page.events.iter().filter(|(_, event)| filters.pass(event)).map(|(sequence, _)| *sequence);
        let mut passing: Vec<Sequence> = passing.chain(page.for_all).filter(|sequence| *sequence < until).collect();
        passing.sort_unstable();
        self.tell(at, until, &passing);
        if self.told[at] >= self.head {
            self.behind.remove(&at);
            return Ok(false);
        }
        Ok(self.told[at] > from)
    }

    fn tell(&mut self, at: usize, until: Sequence, passing: &[Sequence]) {
        let told = self.triggers[at].consumer.sort(until, passing);
        self.told[at] = told;
        if told < until {
            self.behind.insert(at);
        }
    }

    /// Tells everybody how far the topic was sorted.
    fn tell_all(&mut self) {
        for at in 0..self.triggers.len() {
            if !self.behind.contains(&at) && self.told[at] < self.head {
                self.tell(at, self.head, &[]);
            }
        }
        self.told_all = Instant::now();
    }
}
