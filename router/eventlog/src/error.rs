//! What can go wrong, as far as a caller branches on it. Separate because every engine answers with the same errors.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::accepted::Sequence;
use crate::local::is_full;

/// Why an operation of the log failed. Cheap to clone: every waiter of one failed commit gets the same.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Another process has the directory open.
    #[error("data directory {} is in use by another process; stop it or choose another directory", .dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// A file is of a format that only a newer version reads. Nothing was written.
    #[error("{} needs a reader of format {needs}, this one reads up to {reads}; start the newer version", .path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The oldest format version that may read it.
        needs: u16,
        /// The newest this program reads.
        reads: u16,
    },
    /// A file's bytes fail their check where nothing can be served around the damage.
    #[error("{} is damaged: {what}; restore it from a backup", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operating system refused; `Io::source` says why. Retrying may help.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The operating system's answer.
        source: Arc<io::Error>,
    },
    /// Too much waits for the disk already. Retrying later helps.
    #[error("the queue of {name} is full; retry later")]
    Busy {
        /// The topic, consumer or journal.
        name: String,
    },
    /// The log, topic or consumer was closed or deleted.
    #[error("{name} is closed")]
    Closed {
        /// What was closed.
        name: String,
    },
    /// There is no such topic or consumer.
    #[error("no {what} is named {name}")]
    NotFound {
        /// "topic" or "consumer".
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// A topic that consumers still read cannot be deleted, nor a consumer be moved to another topic.
    #[error("{name} is in use by {by}; delete that first")]
    InUse {
        /// What was to be changed.
        name: String,
        /// Who uses it.
        by: String,
    },
    /// The lease is not held: settled or given back before, or from before the consumer was reopened.
    #[error("event {sequence} is not on lease at {consumer}; lease it again")]
    NotLeased {
        /// The event.
        sequence: Sequence,
        /// The consumer.
        consumer: String,
    },
    /// The caller asked for something that has no meaning, such as settling as `Dead` with the state `Delivered`.
    #[error("{0}")]
    Invalid(String),
}

impl LogError {
    /// For `map_err`: an operating system error with what was attempted on what.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    /// Whether the disk is full (or a quota reached): the log goes on by itself once there is space.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }
}

/// Why an append was not accepted. Except for `Failed`, the records are certainly not stored.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A record has the dedupe id of an earlier one but another digest.
    #[error("record {index} of the batch has the id of event {first} but other content; choose another id")]
    Conflict {
        /// Which record of the batch, from 0.
        index: usize,
        /// The earlier record. Within one batch: the sequence it would have got.
        first: Sequence,
    },
    /// The topic has reached its size and a consumer still needs the oldest segment (`WhenFull::Refuse`).
    #[error("topic {name} is full; wait for its consumers or raise its retention")]
    Full {
        /// The topic.
        name: String,
    },
    /// A record, a text in it or the batch is above its limit.
    #[error("{what} is {size}, the limit is {limit}; send less")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size, in bytes or pieces.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Stored or not is unknown; nobody has been told of these records. Retrying may help.
    #[error("the append failed: {0}")]
    Failed(#[from] LogError),
    /// The topic was closed or deleted.
    #[error("topic {name} is closed")]
    Closed {
        /// The topic.
        name: String,
    },
}
