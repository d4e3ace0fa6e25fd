//! One commit of a topic: duplicates, room, one write, one sync, answers. Separate because the order of these steps is
//! what makes an acknowledgement true.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Shared, millis};
use crate::dedupe::Seen;
use crate::defects::{Defect, seeded};
use crate::local::committer::Commit;
use crate::local::log::SegmentLog;
use crate::local::record::{Frame, decode_records, encode_record};
use crate::local::space::Space;
use crate::local::writer::{Draft, Layout, Writer};
use crate::lock::lock;
use crate::{
    Accepted, AppendError, Appended, Durability, Durable, LogError, NewRecord, Relaxed, Sequence, TopicConfig, WhenFull,
};

/// Bytes of segments: below the lower bound a segment would be mostly header, above the upper retention would be coarse.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 16 << 10..=256 << 20;
/// A topic has at least so many segments when it is full, so that a part of it can go.
const SEGMENTS_PER_TOPIC: u64 = 4;
/// Space is reserved in steps of this: seldom enough not to matter, and an idle topic costs no more.
const RESERVE: u64 = 4 << 20;

/// An append that waits.
pub(super) struct Append {
    pub(super) records: Vec<NewRecord>,
    pub(super) answer: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
}

/// An append that is part of the commit: the sequence and whether it is a duplicate, for each record.
struct Pending {
    answer: oneshot::Sender<Result<Vec<Appended>, AppendError>>,
    answers: Vec<(Sequence, bool)>,
}

/// The committing side of a topic.
pub(super) struct TopicCommit {
    writer: Writer,
    shared: Arc<Shared>,
    seen: Seen,
    space: Arc<Space>,
}

impl TopicCommit {
    pub(super) fn new(
        log: Arc<SegmentLog>,
        shared: Arc<Shared>,
        seen: Seen,
        space: Arc<Space>,
    ) -> Result<Self, LogError> {
        let layout = layout(&lock(&shared.config));
        let writer = Writer::new(log, layout, shared.clock.now_ms())?;
        Ok(Self { writer, shared, seen, space })
    }

    pub(super) fn close(&mut self) -> Result<(), LogError> {
        let closed = self.writer.close();
        self.count();
        closed
    }

    pub(super) fn skip_to(&mut self, next: u64) -> Result<(), LogError> {
        self.writer.skip_to(next, self.shared.clock.now_ms())?;
        self.shared.next.send_replace(Sequence::new(self.writer.next()));
        Ok(())
    }

    pub(super) fn tend(&mut self) {
        // A failed sync has been logged and has sealed the segment.
        let _sealed = self.writer.flush();
        self.writer.mark();
        self.count();
        let config = lock(&self.shared.config).clone();
        self.retain(&config, self.shared.clock.now_ms());
    }

    /// Sorts the requests into drafts and those who wait for them; answers the ones that are refused.
    fn judge(&mut self, requests: Vec<Append>, config: &TopicConfig, now_ms: u64) -> (Vec<Draft>, Vec<Pending>) {
        let remember = !config.dedupe_window.is_zero();
        let refusal = self.refusal(config);
        let mut next = Sequence::new(self.writer.next());
        let (mut drafts, mut pending) = (Vec::new(), Vec::new());
        for Append { records, answer } in requests {
            let mark = self.seen.mark();
            let judged = match self.seen.judge(records, next, now_ms, remember) {
                // A duplicate needs no room.
                Ok(judged) if judged.fresh.is_empty() => Ok(judged),
                Ok(judged) => refusal.clone().map_or(Ok(judged), Err),
                Err(error) => Err(error),
            };
            if judged.is_err() {
                self.seen.roll_back(mark);
            }
            match judged {
                Err(refused) => drop(answer.send(Err(refused))),
                Ok(judged) => {
                    let count = u32::try_from(judged.fresh.len()).unwrap_or(u32::MAX);
                    if count > 0 {
                        let mut payload =
                            Vec::with_capacity(judged.fresh.iter().map(|record| record.bytes() + 64).sum());
                        judged.fresh.iter().for_each(|record| encode_record(record, &mut payload));
                        drafts.push(Draft { count, payload });
                    }
                    next = Sequence::new(next.get() + u64::from(count));
                    pending.push(Pending { answer, answers: judged.answers });
                }
            }
        }
        (drafts, pending)
    }

    fn answer(&self, pending: Pending, outcome: &Result<(), LogError>) {
        let written = pending.answers.iter().all(|(sequence, _)| sequence.get() < self.writer.next());
        let answer = match outcome {
            // All of them are duplicates of records from before the commit that failed.
            Err(_) if written => Ok(self.appended(pending.answers)),
            Err(error) => Err(AppendError::Failed(error.clone())),
            Ok(()) => Ok(self.appended(pending.answers)),
        };
        // Whoever asked may be gone.
        drop(pending.answer.send(answer));
    }

    fn appended(&self, answers: Vec<(Sequence, bool)>) -> Vec<Appended> {
        let mut stats = lock(&self.shared.stats);
        let appended = answers.into_iter().map(|(sequence, duplicate)| {
            let count = if duplicate { &mut stats.deduplicated } else { &mut stats.appended };
            *count += 1;
            let accepted = if sequence.get() < self.writer.durable() {
                Accepted::Durable(Durable::new(sequence))
            } else {
                Accepted::Relaxed(Relaxed::new(sequence))
            };
            Appended { accepted, duplicate }
        });
        appended.collect()
    }

    fn count(&self) {
        let mut stats = lock(&self.shared.stats);
        (stats.syncs, stats.failed_commits) = (self.writer.syncs, self.writer.failures);
    }

    /// Says once that the disk is full, and once that it is not.
    fn note_space(&self, outcome: &Result<(), LogError>) {
        let out_of_space = self.space.is_spent() || outcome.as_ref().is_err_and(LogError::is_out_of_space);
        let before = std::mem::replace(&mut lock(&self.shared.stats).out_of_space, out_of_space);
        if out_of_space && !before {
            tracing::error!(log = %self.writer.log.name, "the disk is full: no events are taken in until there is space");
        } else if before && !out_of_space {
            tracing::info!(log = %self.writer.log.name, "events are taken in again");
        }
    }

    /// The oldest sequence that a consumer may still have to read from the topic.
    fn needed(&self) -> u64 {
        if seeded(Defect::D13) {
            return u64::MAX;
        }
        let floors = lock(&self.shared.floors);
        floors.values().map(|floor| floor.load(Ordering::Acquire)).min().unwrap_or(u64::MAX)
    }

    /// Why nothing new is taken in, if so.
    fn refusal(&self, config: &TopicConfig) -> Option<AppendError> {
        if config.full == WhenFull::Refuse && self.writer.log.size().0 >= config.retention_bytes {
            return Some(AppendError::Full { name: self.writer.log.name.clone() });
        }
        let full = || LogError::io("reserve space in", &self.writer.log.dir)(std::io::ErrorKind::StorageFull.into());
        self.space.is_spent().then(|| AppendError::Failed(full()))
    }

    /// Drops whole segments that are too old or too much.
    fn retain(&mut self, config: &TopicConfig, now_ms: u64) {
        let (age_ms, needed) = (millis(config.retention_age), self.needed());
        let log = self.writer.log.clone();
        let mut bytes = log.size().0;
        let dropped = self.writer.drop_while(|oldest, next| {
            let (newest_ms, size) = oldest.extent(|extent| (extent.newest_ms, extent.end));
            let aged = newest_ms.saturating_add(age_ms) < now_ms;
            let free = config.full == WhenFull::DropOldest || needed >= next.header.first;
            let goes = aged || (bytes >= config.retention_bytes && free);
            bytes -= if goes { size } else { 0 };
            goes
        });
        match dropped {
            Ok(0) => {}
            Ok(segments) => tracing::debug!(log = %log.name, segments, first = log.first(), "dropped old segments"),
            Err(error) => tracing::warn!(log = %log.name, %error, "cannot drop old segments"),
        }
    }
}

impl Commit for TopicCommit {
    type Request = Append;

    fn commit(&mut self, requests: Vec<Append>) {
        let config = lock(&self.shared.config).clone();
        let now_ms = self.shared.clock.now_ms();
        self.writer.layout = layout(&config);
        self.retain(&config, now_ms);
        self.seen.forget(now_ms, millis(config.dedupe_window));
        let mark = self.seen.mark();
        let (drafts, pending) = self.judge(requests, &config, now_ms);
        let pending = if seeded(Defect::D2) && !drafts.is_empty() { answer_early(pending) } else { pending };
        let outcome = if drafts.is_empty() {
            Ok(())
        } else {
            self.writer.commit(&drafts, now_ms, config.durability == Durability::Strict)
        };
        match &outcome {
            Ok(()) => drop(self.shared.next.send_replace(Sequence::new(self.writer.next()))),
            Err(_) => self.seen.roll_back(mark),
        }
        self.count();
        if self.space.is_spent() || !drafts.is_empty() {
            self.note_space(&outcome);
        }
        pending.into_iter().for_each(|pending| self.answer(pending, &outcome));
    }
}

fn layout(config: &TopicConfig) -> Layout {
    let segment = config.segment_bytes.min(config.retention_bytes / SEGMENTS_PER_TOPIC);
    let segment_bytes = segment.clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end());
    Layout { segment_bytes, reserve: RESERVE.min(segment_bytes), marked: true }
}

/// Enters the records of a frame that was found at opening.
pub(super) fn remember(seen: &mut Seen, frame: &Frame, payload: &[u8]) {
    let records = decode_records(frame, Bytes::copy_from_slice(payload), |_| true).unwrap_or_default();
    for record in records {
        if let Some(dedupe) = &record.dedupe {
            seen.insert(dedupe, record.sequence, record.admitted_ms);
        }
    }
}

/// D2: answers as if everything were on disk, 50 ms before it is written. Gives who is still to be answered.
fn answer_early(pending: Vec<Pending>) -> Vec<Pending> {
    for Pending { answer, answers } in pending {
        let durable =
            |(sequence, duplicate)| Appended { accepted: Accepted::Durable(Durable::new(sequence)), duplicate };
        drop(answer.send(Ok(answers.into_iter().map(durable).collect())));
    }
    std::thread::sleep(std::time::Duration::from_millis(50));
    Vec::new()
}
