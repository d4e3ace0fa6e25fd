//! What is kept: one event as the log sees it. Separate from how it lies on disk (`local/record.rs`), because every
//! engine keeps the same thing.

use bytes::Bytes;

use crate::accepted::Sequence;
use crate::config::{MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_HEADERS, MAX_RECORD_BYTES, MAX_TEXT_BYTES};
use crate::error::{AppendError, LogError};

/// Names a record for the topic's duplicate check.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DedupeKey {
    /// Equal for records that are the same event. The log does not look inside. At most 65,535 bytes.
    pub id: String,
    /// Equal for records with the same content; the same id with another digest is a conflict. SHA-256 fits.
    pub digest: [u8; 32],
}

/// A record to append.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// `None`: never a duplicate.
    pub dedupe: Option<DedupeKey>,
    /// Partition key: records with equal keys belong in order. Kept, not interpreted.
    pub key: Option<String>,
    /// A hint at what the record is about, readable without decoding the headers. Kept, not interpreted.
    pub subject: String,
    /// Kept in order, repeats included.
    pub headers: Vec<(String, String)>,
    /// The content.
    pub body: Bytes,
}

/// A record as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the topic.
    pub sequence: Sequence,
    /// When it was appended, Unix milliseconds by the engine's clock; informational, does not order.
    pub admitted_ms: u64,
    /// As appended.
    pub dedupe: Option<DedupeKey>,
    /// As appended.
    pub key: Option<String>,
    /// As appended.
    pub subject: String,
    /// As appended.
    pub headers: Vec<(String, String)>,
    /// As appended.
    pub body: Bytes,
}

impl NewRecord {
    /// The bytes this record counts against limits and retention: all of its text and its body.
    pub fn bytes(&self) -> usize {
        let dedupe = self.dedupe.as_ref().map_or(0, |key| key.id.len() + key.digest.len());
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        dedupe + self.key.as_ref().map_or(0, String::len) + self.subject.len() + headers + self.body.len()
    }

    /// The record as kept at `sequence`.
    pub(crate) fn kept(self, sequence: Sequence, admitted_ms: u64) -> Record {
        let Self { dedupe, key, subject, headers, body } = self;
        Record { sequence, admitted_ms, dedupe, key, subject, headers, body }
    }
}

/// Whether an append is within the limits. Checked before anything is queued.
pub(crate) fn check_batch(records: &[NewRecord]) -> Result<(), AppendError> {
    limit("the number of records in the batch", records.len(), MAX_BATCH_RECORDS)?;
    limit("the size of the batch", records.iter().map(NewRecord::bytes).sum(), MAX_BATCH_BYTES)?;
    for record in records {
        limit("the size of a record", record.bytes(), MAX_RECORD_BYTES)?;
        limit("the number of headers of a record", record.headers.len(), MAX_HEADERS)?;
        limit("the size of a dedupe id", record.dedupe.as_ref().map_or(0, |key| key.id.len()), MAX_TEXT_BYTES)?;
        limit("the size of a partition key", record.key.as_ref().map_or(0, String::len), MAX_TEXT_BYTES)?;
        limit("the size of a subject", record.subject.len(), MAX_TEXT_BYTES)?;
        for (name, _) in &record.headers {
            limit("the size of a header's name", name.len(), MAX_TEXT_BYTES)?;
        }
    }
    Ok(())
}

fn limit(what: &'static str, size: usize, limit: usize) -> Result<(), AppendError> {
    if size > limit { Err(AppendError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Whether a topic, consumer or journal may have this name.
pub(crate) fn check_name(name: &str) -> Result<(), LogError> {
    if name.is_empty() || name.len() > crate::config::MAX_NAME_BYTES {
        return Err(LogError::Invalid(format!(
            "the name {name:?} has {} bytes; choose one of 1 to {} bytes",
            name.len(),
            crate::config::MAX_NAME_BYTES
        )));
    }
    Ok(())
}
