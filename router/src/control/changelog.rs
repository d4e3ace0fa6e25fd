//! The desired state as a change log: one record per apply in the event log's journal, whose sequence is the snapshot's
//! number. Replaying it gives the state back; after some records a checkpoint takes the place of all before it.

mod record;

use std::collections::BTreeSet;
use std::sync::Arc;

use weft_eventlog::{EventLog, Journal, LogError, MAX_JOURNAL_ENTRY_BYTES, Sequence};
use weft_functions::manifest::{Kind, ResourceId};

use self::record::Record;
pub use self::record::{FORMAT, RecordError};
use super::desired::{Desired, Plan};

/// The journal's name in the event log.
pub const JOURNAL: &str = "weft-system/changes";

/// Records after which a checkpoint is made: replaying a thousand takes about as long as compiling one function.
pub const COMPACT_AFTER: usize = 1_000;

/// Why the change log could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ChangelogError {
    /// The event log failed.
    #[error("the change log cannot be used: {0}")]
    Log(#[from] LogError),
    /// There is nothing in it, and yet there are positions of triggers, which only a recorded apply makes.
    #[error(
        "the change log is gone, but {0} positions of triggers are here: what was deployed, policies included, is not \
         known any more; restore the data directory from a backup, or start with an empty one"
    )]
    Gone(usize),
    /// A record cannot be read. Nothing was written.
    #[error("record {sequence} of the change log cannot be read: {source}")]
    Record {
        /// Which.
        sequence: Sequence,
        /// Why.
        source: RecordError,
    },
}

/// What replaying found.
#[derive(Debug, Default)]
pub struct Replayed {
    /// The state after the last record.
    pub desired: Desired,
    /// Topics that the kept records deleted with their events and nobody brought back. A crash may have come between the
    /// record and the deed, so whoever restores deletes them again. (Triggers need no such list: the event log knows
    /// which positions it has.)
    pub gone: BTreeSet<ResourceId>,
}

/// The change log, for one writer.
pub struct Changelog {
    journal: Arc<dyn Journal>,
    /// Records since the checkpoint.
    records: usize,
    /// An append failed, so its record may be there or not.
    in_doubt: bool,
}

impl Changelog {
    /// Opens and replays the change log. Reads everything before anything may be written.
    ///
    /// # Errors
    /// `Record` when one is of a newer format, or damaged; `Gone` when it is empty and should not be: a node that went on
    /// would do without its policies, and delete the positions as nobody's.
    pub async fn open(log: &dyn EventLog) -> Result<(Self, Replayed), ChangelogError> {
        let journal = log.journal(JOURNAL).await?;
        let contents = journal.read_all().await?;
        if contents.checkpoint.is_none() && contents.entries.is_empty() {
            let positions = log.consumers().await?.len();
            if positions > 0 {
                return Err(ChangelogError::Gone(positions));
            }
        }
        let mut replayed = Replayed::default();
        if let Some(checkpoint) = &contents.checkpoint {
            let last = Sequence::new(checkpoint.before.get().saturating_sub(1));
            replayed.replay(last, &checkpoint.bytes)?;
        }
        for entry in &contents.entries {
            replayed.replay(entry.sequence, &entry.bytes)?;
        }
        let records = contents.entries.len();
        Ok((Self { journal, records, in_doubt: false }, replayed))
    }

    /// Makes `plan` durable and answers the state after it. `current` is the state before it.
    ///
    /// # Errors
    /// `Log`: the plan has not happened. (Should its record be stored all the same, the next append removes it; until
    /// then a restart would find it.)
    pub async fn append(&mut self, current: &Desired, plan: &Plan, at_ms: u64) -> Result<Desired, ChangelogError> {
        if self.in_doubt {
            self.write_checkpoint(current, at_ms).await?;
            self.in_doubt = false;
        }
        let bytes = Record::of_plan(plan, at_ms).encode();
        match self.journal.append(bytes.into()).await {
            Ok(sequence) => {
                self.records += 1;
                Ok(current.after(plan, sequence.get().get()))
            }
            Err(error) => {
                self.in_doubt = !matches!(error, LogError::Invalid(_) | LogError::Busy { .. });
                Err(error.into())
            }
        }
    }

    /// Makes a checkpoint when one is due. A failure is only logged: the records are all there, and the next append
    /// tries again.
    pub async fn compact_if_due(&mut self, current: &Desired, at_ms: u64) {
        if self.records < COMPACT_AFTER {
            return;
        }
        if let Err(error) = self.write_checkpoint(current, at_ms).await {
            tracing::warn!(%error, "cannot make a checkpoint of the change log; all of its records stay");
            self.records = 0;
        }
    }

    /// Replaces all records, doubtful ones included, by the current state.
    async fn write_checkpoint(&mut self, current: &Desired, at_ms: u64) -> Result<(), ChangelogError> {
        let contents = self.journal.read_all().await?;
        let first = contents.checkpoint.map_or(Sequence::FIRST, |checkpoint| checkpoint.before);
        let end = contents.entries.last().map_or(first, |entry| entry.sequence.next());
        let bytes = Record::of_state(current, at_ms).encode();
        if bytes.len() > MAX_JOURNAL_ENTRY_BYTES {
            let size = bytes.len();
            let message = format!("the desired state has {size} bytes, a checkpoint at most {MAX_JOURNAL_ENTRY_BYTES}");
            return Err(LogError::Invalid(message).into());
        }
        self.journal.compact(end, bytes.into()).await?;
        self.records = 0;
        Ok(())
    }
}

impl Replayed {
    fn replay(&mut self, sequence: Sequence, bytes: &[u8]) -> Result<(), ChangelogError> {
        let unreadable = |source| ChangelogError::Record { sequence, source };
        let plan = Record::decode(bytes).and_then(Record::into_plan).map_err(unreadable)?;
        let lost = plan.data_lost(&self.desired);
        self.gone.extend(lost.into_iter().filter(|id| id.kind == Kind::Topic));
        self.gone.retain(|id| !plan.put.contains_key(id));
        // A checkpoint's entries have numbers of their own; they are kept as they are.
        self.desired = self.desired.after(&plan, sequence.get());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
