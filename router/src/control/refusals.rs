//! Refusals and failures on disk, so that their ids lead somewhere after a restart too: a journal of the event log, in
//! which each decision stands as it was explained when it was fresh. Bounded: the oldest go. Written by a task of its own
//! in bundles, so that no call waits for it; what was decided within the last moment before a kill is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use weft_eventlog::{EventLog, Journal, LogError, Sequence};

use crate::path::decision::DecisionId;

/// The journal's name in the event log.
pub const JOURNAL: &str = "weft-system/refusals";

/// The format of the entries, and the oldest reader that may read them.
const FORMAT: u32 = 1;

/// Bytes after which the older half goes. On disk it is at most twice as much.
const BYTES_MAX: usize = 8 << 20;

/// Bytes of one explanation. One that is larger is not kept: thousands of rules were asked.
const EXPLANATION_BYTES_MAX: usize = 64 << 10;

/// How long a refusal waits for others to be written with it.
const BUNDLE_TIME: Duration = Duration::from_millis(200);

/// Refusals in one bundle.
const BUNDLE_MAX: usize = 64;

/// Refusals on disk.
pub struct RefusalLog {
    journal: Arc<dyn Journal>,
    /// Entries since the last compaction with their sizes, oldest first. Held by whoever writes.
    entries: Mutex<VecDeque<(Sequence, usize)>>,
}

/// An entry of the journal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    format: u32,
    oldest: u32,
    decisions: Vec<Box<RawValue>>,
}

/// As much of an explanation as tells whose it is.
#[derive(Deserialize)]
struct Head {
    decision: Option<String>,
}

impl RefusalLog {
    /// Opens the journal. One that cannot be read is given up with a line in the log: a node must not fail for want of
    /// what explains its past.
    ///
    /// # Errors
    /// The event log cannot open it.
    pub async fn open(log: &dyn EventLog) -> Result<Self, LogError> {
        let journal = log.journal(JOURNAL).await?;
        let entries = match journal.read_all().await {
            Ok(contents) => contents.entries.iter().map(|entry| (entry.sequence, entry.bytes.len())).collect(),
            Err(error) => {
                tracing::error!(%error, "refusals of before cannot be read; they cannot be explained any more");
                VecDeque::new()
            }
        };
        Ok(Self { journal, entries: Mutex::new(entries) })
    }

    /// Writes down what `numbers` brings, as `explain` puts it, until `stop`; then what has come by then.
    pub async fn write(
        &self,
        mut numbers: mpsc::Receiver<u64>,
        explain: impl Fn(u64) -> Option<String>,
        stop: CancellationToken,
    ) {
        loop {
            let first = tokio::select! {
                biased;
                number = numbers.recv() => number,
                () = stop.cancelled() => None,
            };
            let Some(first) = first else { return };
            // A node that stops does not wait for more.
            let _pause = tokio::time::timeout(BUNDLE_TIME, stop.cancelled()).await;
            let mut bundle = vec![first];
            while let Some(number) = numbers.try_recv().ok().filter(|_| bundle.len() < BUNDLE_MAX) {
                bundle.push(number);
            }
            let explained: Vec<String> = bundle.into_iter().filter_map(&explain).collect();
            if let Err(error) = self.append(explained).await {
                tracing::warn!(%error, "cannot write refusals down; they are explained until the node stops");
            }
        }
    }

    async fn append(&self, explained: Vec<String>) -> Result<(), LogError> {
        let small = explained.into_iter().filter(|text| text.len() <= EXPLANATION_BYTES_MAX);
        let decisions: Vec<Box<RawValue>> = small.filter_map(|text| RawValue::from_string(text).ok()).collect();
        if decisions.is_empty() {
            return Ok(());
        }
        let entry = Entry { format: FORMAT, oldest: FORMAT, decisions };
        let bytes = serde_json::to_vec(&entry).map_err(|error| LogError::Invalid(error.to_string()))?;
        let mut entries = self.entries.lock().await;
        let size = bytes.len();
        let sequence = self.journal.append(bytes.into()).await?;
        entries.push_back((*sequence.get(), size));
        self.compact_if_due(&mut entries).await
    }

    /// Lets the older half go when there is too much.
    async fn compact_if_due(&self, entries: &mut VecDeque<(Sequence, usize)>) -> Result<(), LogError> {
        let mut bytes: usize = entries.iter().map(|(_, size)| size).sum();
        if bytes <= BYTES_MAX {
            return Ok(());
        }
        while bytes > BYTES_MAX / 2 {
            let Some((_, size)) = entries.pop_front() else { break };
            bytes -= size;
        }
        // The entry just written is smaller than half, so one is left.
        let Some((first, _)) = entries.front() else { return Ok(()) };
        let nothing = Entry { format: FORMAT, oldest: FORMAT, decisions: Vec::new() };
        let checkpoint = serde_json::to_vec(&nothing).map_err(|error| LogError::Invalid(error.to_string()))?;
        self.journal.compact(*first, checkpoint.into()).await
    }

    /// The explanation of a decision, if it was written down.
    ///
    /// # Errors
    /// The journal cannot be read, or was written by a newer version.
    pub async fn find(&self, id: DecisionId) -> Result<Option<Value>, String> {
        let contents = self.journal.read_all().await.map_err(|error| error.to_string())?;
        let id = id.to_string();
        for entry in contents.entries.iter().rev() {
            if !contains(&entry.bytes, id.as_bytes()) {
                continue;
            }
            let unreadable = |why: String| format!("entry {} of the refusals cannot be read: {why}", entry.sequence);
            let read: Entry = serde_json::from_slice(&entry.bytes).map_err(|error| unreadable(error.to_string()))?;
            if read.oldest > FORMAT {
                return Err(unreadable(format!("it has format {}; start the newer version of weft", read.format)));
            }
            for decision in read.decisions {
                let head: Head = serde_json::from_str(decision.get()).map_err(|error| unreadable(error.to_string()))?;
                if head.decision.as_deref() == Some(&*id) {
                    let found = serde_json::from_str(decision.get());
                    return found.map(Some).map_err(|error| unreadable(error.to_string()));
                }
            }
        }
        Ok(None)
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weft_eventlog::MemoryLog;

    use super::*;
    use crate::path::decision::DecisionIds;

    fn ids() -> DecisionIds {
        DecisionIds::new([7; 16], 1)
    }

    fn explanation(number: u64, padding: usize) -> String {
        let (id, padding) = (ids().id(number), "x".repeat(padding));
        format!(r#"{{"decision":"{id}","code":"AUTHZ_NO_ALLOW","why":"{padding}"}}"#)
    }

    async fn write(log: &RefusalLog, numbers: std::ops::Range<u64>, padding: usize) {
        for number in numbers {
            log.append(vec![explanation(number, padding)]).await.expect("written");
        }
    }

    #[tokio::test]
    async fn what_was_refused_is_found_after_a_restart() {
        let disk = MemoryLog::default();
        let log = RefusalLog::open(&disk).await.expect("opens");
        let (sender, receiver) = mpsc::channel(8);
        let stop = CancellationToken::new();
        for number in [3, 4, 5] {
            sender.send(number).await.expect("room");
        }
        stop.cancel();
        // The one that is no longer kept in memory is left out.
        log.write(receiver, |number| (number != 4).then(|| explanation(number, 0)), stop).await;
        drop(log);
        let log = RefusalLog::open(&disk).await.expect("opens");
        assert_eq!(log.find(ids().id(3)).await.expect("read").expect("found")["code"], "AUTHZ_NO_ALLOW");
        assert!(log.find(ids().id(5)).await.expect("read").is_some());
        for unknown in [ids().id(4), ids().id(6), DecisionIds::new([7; 16], 2).id(3)] {
            assert!(log.find(unknown).await.expect("read").is_none());
        }
    }

    #[tokio::test]
    async fn the_oldest_go_and_nothing_is_written_that_is_too_large() {
        let disk = MemoryLog::default();
        let log = RefusalLog::open(&disk).await.expect("opens");
        let size = EXPLANATION_BYTES_MAX - 200;
        let fit = (BYTES_MAX / size) as u64;
        write(&log, 0..fit, size).await;
        assert!(log.find(ids().id(0)).await.expect("read").is_some());
        let log = RefusalLog::open(&disk).await.expect("opens again and knows how much there is");
        write(&log, fit..fit + 2, size).await;
        assert!(log.find(ids().id(0)).await.expect("read").is_none());
        assert!(log.find(ids().id(fit + 1)).await.expect("read").is_some());
        let contents = disk.journal(JOURNAL).await.expect("a journal").read_all().await.expect("read");
        let bytes: usize = contents.entries.iter().map(|entry| entry.bytes.len()).sum();
        assert!((BYTES_MAX / 4..=BYTES_MAX).contains(&bytes), "{bytes}");
        write(&log, 900..901, EXPLANATION_BYTES_MAX).await;
        assert!(log.find(ids().id(900)).await.expect("read").is_none());
    }

    #[tokio::test]
    async fn a_newer_format_is_said_and_not_guessed_at() {
        let disk = MemoryLog::default();
        let log = RefusalLog::open(&disk).await.expect("opens");
        let id = ids().id(1);
        let entry = format!(r#"{{"format":2,"oldest":2,"decisions":[{{"decision":"{id}"}}]}}"#);
        log.journal.append(Bytes::from(entry)).await.expect("written");
        let error = log.find(id).await.expect_err("newer");
        assert!(error.contains("start the newer version"), "{error}");
        // What this version writes, to the letter.
        log.append(vec![explanation(2, 0)]).await.expect("written");
        let contents = log.journal.read_all().await.expect("read");
        let last = String::from_utf8_lossy(&contents.entries.last().expect("an entry").bytes).into_owned();
        assert_eq!(last, format!(r#"{{"format":1,"oldest":1,"decisions":[{}]}}"#, explanation(2, 0)));
    }
}
