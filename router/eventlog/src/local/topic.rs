//! A topic on disk: what it answers to callers. What a commit does is in `topic/commit.rs`.

mod commit;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::blocking;
use super::committer::Committer;
use super::log::SegmentLog;
use super::record::{Frame, decode_records};
use super::space::Space;
use crate::defects::{Defect, seeded};
use crate::lock::lock;
use crate::record::check_batch;
use crate::{
    AppendError, Appended, Bounds, Clock, LogError, NewRecord, Record, Sequence, SequenceRange, Topic, TopicConfig,
    TopicStats,
};
use commit::{Append, TopicCommit};

/// The floors of the consumers of a topic, by consumer: what retention must not take while it refuses.
pub(super) type Floors = Mutex<HashMap<String, Arc<AtomicU64>>>;

/// What committing and asking share.
pub(super) struct Shared {
    config: Mutex<TopicConfig>,
    pub(super) floors: Floors,
    next: watch::Sender<Sequence>,
    stats: Mutex<TopicStats>,
    clock: Arc<dyn Clock>,
}

/// Events fewer than this apart are read in one go.
const NEAR: u64 = 256;

/// Some events of a topic.
#[derive(Default)]
pub(super) struct Picked {
    pub(super) records: Vec<Record>,
    /// Ranges `first..until` that begin at a wanted event and are gone.
    pub(super) gone: Vec<(u64, u64)>,
}

impl Picked {
    /// What is wanted at or after `until`; what is wanted before is gone.
    fn pass<'a>(&mut self, wanted: &'a [u64], until: u64) -> &'a [u64] {
        let after = wanted.partition_point(|sequence| *sequence < until);
        if let Some(first) = wanted.first().filter(|_| after > 0) {
            self.gone.push((*first, until));
        }
        &wanted[after..]
    }
}

/// A topic on disk.
pub(super) struct LocalTopic {
    name: String,
    pub(super) log: Arc<SegmentLog>,
    pub(super) shared: Arc<Shared>,
    committer: Arc<Committer<TopicCommit>>,
    closed: AtomicBool,
}

impl LocalTopic {
    /// Opens or creates it, reading all of it. Blocks.
    pub(super) fn open(
        storage: Arc<dyn super::Storage>,
        dir: std::path::PathBuf,
        name: &str,
        config: TopicConfig,
        (clock, space): (Arc<dyn Clock>, Arc<Space>),
    ) -> Result<Self, LogError> {
        let window_from = clock.now_ms().saturating_sub(millis(config.dedupe_window));
        let mut seen = crate::dedupe::Seen::default();
        let log = SegmentLog::open(storage, dir, format!("topics/{name}"), &mut |found, payload| {
            if found.frame.admitted_ms >= window_from && !seeded(Defect::D11) {
                commit::remember(&mut seen, &found.frame, payload);
            }
        })?;
        let log = Arc::new(log);
        let next = watch::Sender::new(Sequence::new(log.next()));
        let (config, floors, stats) = (Mutex::new(config), Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { config, floors, next, stats, clock });
        let commit = TopicCommit::new(log.clone(), shared.clone(), seen, space)?;
        let committer = Committer::new(name.to_owned(), commit);
        Ok(Self { name: name.to_owned(), log, shared, committer, closed: AtomicBool::new(false) })
    }

    /// Applies another configuration from the next commit on.
    pub(super) fn configure(&self, config: TopicConfig) {
        *lock(&self.shared.config) = config;
    }

    /// What has to be done now and then: retention by age, and the sync that relaxed appends did not wait for. Blocks.
    pub(super) fn tend(&self) {
        self.committer.with(TopicCommit::tend);
    }

    /// Makes sure that no sequence below `next` is given again. Blocks.
    pub(super) fn skip_to(&self, next: u64) -> Result<(), LogError> {
        self.committer.with(|commit| commit.skip_to(next))
    }

    /// Commits what is queued, syncs, and takes no more. Blocks.
    pub(super) fn close(&self) -> Result<(), LogError> {
        self.closed.store(true, Ordering::Release);
        self.committer.close();
        self.committer.with(TopicCommit::close)
    }

    /// Reads on from `from`. Blocks.
    pub(super) fn read_on(&self, from: u64, max_records: usize, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        self.log.read(from, &mut |frame, payload| {
            for record in self.decode(frame, payload, |sequence| sequence >= from) {
                if records.len() >= max_records || bytes >= max_bytes {
                    return false;
                }
                bytes += record.body.len();
                records.push(record);
            }
            true
        })?;
        Ok(records)
    }

    /// Reads the events `wanted`, which ascend, until `max_bytes` are reached. Blocks.
    pub(super) fn pick(&self, wanted: &[u64], max_bytes: usize) -> Result<Picked, LogError> {
        let (mut picked, mut rest, mut bytes) = (Picked::default(), wanted, 0);
        while let [first, ..] = *rest {
            let reached = self.log.read(first, &mut |frame, payload| {
                rest = picked.pass(rest, frame.sequence);
                let here = rest.partition_point(|wanted| *wanted < frame.next());
                let records = self.decode(frame, payload, |sequence| rest[..here].binary_search(&sequence).is_ok());
                for record in records {
                    if bytes >= max_bytes {
                        return false;
                    }
                    rest = picked.pass(rest, record.sequence.get());
                    rest = rest.get(1..).unwrap_or_default();
                    bytes += record.body.len();
                    picked.records.push(record);
                }
                rest = picked.pass(rest, frame.next());
                rest.first().is_some_and(|next| next - frame.next() <= NEAR)
            })?;
            if bytes >= max_bytes || reached <= first {
                break;
            }
            rest = picked.pass(rest, reached);
        }
        Ok(picked)
    }

    fn decode(&self, frame: &Frame, payload: Bytes, wants: impl FnMut(u64) -> bool) -> Vec<Record> {
        decode_records(frame, payload, wants).unwrap_or_else(|| {
            tracing::error!(topic = %self.name, first = frame.sequence, last = frame.next() - 1, "a frame holds no records");
            Vec::new()
        })
    }

    fn check_open(&self) -> Result<(), LogError> {
        if self.closed.load(Ordering::Acquire) { Err(LogError::Closed { name: self.name.clone() }) } else { Ok(()) }
    }
}

/// A duration as the milliseconds that clocks count.
pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The handle that callers get.
pub(super) struct TopicHandle(pub(super) Arc<LocalTopic>);

#[async_trait]
impl Topic for TopicHandle {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Appended>, AppendError> {
        let closed = || AppendError::Closed { name: self.0.name.clone() };
        check_batch(&records)?;
        if records.is_empty() {
            return self.0.check_open().map(|()| Vec::new()).map_err(|_| closed());
        }
        let bytes = records.iter().map(NewRecord::bytes).sum();
        let (answer, answered) = oneshot::channel();
        match self.0.committer.submit(Append { records, answer }, bytes) {
            Err(LogError::Closed { .. }) => return Err(closed()),
            queued => queued?,
        }
        // No answer: the runtime is shutting down, and whether the records were written is unknown.
        answered.await.map_err(|_| AppendError::Failed(LogError::Closed { name: self.0.name.clone() }))?
    }

    async fn read(&self, from: Sequence, max_records: usize, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        self.0.check_open()?;
        let topic = self.0.clone();
        let read = move || topic.read_on(from.get(), max_records.max(1), max_bytes.max(1));
        blocking(&self.0.name, read).await
    }

    fn bounds(&self) -> Bounds {
        let next = self.0.log.next();
        Bounds { first: Sequence::new(self.0.log.first().min(next)), next: Sequence::new(next) }
    }

    fn watch(&self) -> watch::Receiver<Sequence> {
        self.0.shared.next.subscribe()
    }

    async fn find_by_time(&self, ms: u64) -> Result<Sequence, LogError> {
        self.0.check_open()?;
        let log = self.0.log.clone();
        let find = move || {
            let segments = log.segments();
            let Some(segment) = segments.iter().find(|segment| segment.extent(|extent| extent.newest_ms >= ms)) else {
                return Ok(Sequence::new(log.next()));
            };
            let mut found = None;
            let end = log.read(segment.header.first, &mut |frame, _| {
                found = (frame.admitted_ms >= ms).then_some(frame.sequence);
                found.is_none()
            })?;
            Ok(Sequence::new(found.unwrap_or(end)))
        };
        blocking(&self.0.name, find).await
    }

    fn stats(&self) -> TopicStats {
        let (bytes, segments) = self.0.log.size();
        TopicStats { bytes, segments: segments as u64, quarantined: self.0.log.lost(), ..*lock(&self.0.shared.stats) }
    }

    fn damaged(&self) -> Vec<SequenceRange> {
        let range =
            |(first, until): (u64, u64)| SequenceRange { first: Sequence::new(first), last: Sequence::new(until - 1) };
        self.0.log.damaged().into_iter().map(range).collect()
    }
}
