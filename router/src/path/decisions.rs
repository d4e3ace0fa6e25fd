//! The last decisions, in memory: what was asked, by which snapshot it was judged, and what it came to. A decision is
//! here as soon as its response's head is made, and is completed when the body ends. What led to it is not kept but
//! derived again when somebody asks, from the snapshot of that number and the inputs its rules read.
//!
//! Slots are plain bytes in blocks that come as they are needed: keeping a decision allocates nothing, an idle node has
//! one block, and a slot is locked by itself for the time of one copy.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use weft_eventlog::Sequence;
use weft_functions::policy::Verb;
use weft_functions::value::Namespaced;

use super::caller::{Caller, Principal};
use super::outcome::{Outcome, Reason, Verdict};
use super::policy::{Encoding, Ground, Labels};
use super::record::End;
use super::spiffe::SpiffeId;

/// Decisions that are kept at least: design section 2.
pub const KEPT: usize = 100_000;

/// Slots of a block: 400 KiB.
const BLOCK: usize = 1024;

/// Blocks that hold [`KEPT`] decisions: 39 MiB when all of them are there.
const BLOCKS: usize = KEPT.div_ceil(BLOCK);

/// Bytes of the inputs that a decision's rules read, at most.
pub const INPUT_BYTES: usize = 256;

/// Bytes of a slot for inputs and for why a call failed; what the inputs leave is for the second.
const TEXT_BYTES: usize = 272;

/// The ring of decisions.
pub struct Decisions {
    blocks: Box<[OnceLock<Block>]>,
}

type Block = Box<[Mutex<Slot>]>;

/// What is known of a decision when the response's head is made.
#[derive(Debug)]
pub struct Made<'a> {
    /// Its number, behind its id.
    pub number: u64,
    /// The snapshot it was judged by.
    pub snapshot: u64,
    /// When the call began, Unix milliseconds.
    pub at_ms: u64,
    /// What the call was.
    pub labels: &'a Labels,
    /// What it came to.
    pub outcome: &'a Outcome,
    /// How long the head took.
    pub head: Duration,
    /// What its rules read, encoded; at most [`INPUT_BYTES`].
    pub inputs: &'a [u8],
    /// The event that is delivered, if one is.
    pub delivers: Option<Sequence>,
}

/// How a call ended after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// How the body ended.
    pub end: End,
    /// Bytes of the body.
    pub bytes: u64,
    /// From the call's start to its end.
    pub duration: Duration,
}

/// A decision as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The snapshot it was judged by.
    pub snapshot: u64,
    /// When the call began, Unix milliseconds.
    pub at_ms: u64,
    /// The verb.
    pub verb: Verb,
    /// The target, if it existed.
    pub target: Option<Namespaced>,
    /// What policy's verdict rests on; `None` where policy had no say.
    pub ground: Option<Ground>,
    /// The status that was answered.
    pub status: u16,
    /// Why the mesh ended it, if it did.
    pub reason: Option<Reason>,
    /// The beginning of what the log said of that.
    pub why: String,
    /// How long the head took.
    pub head: Duration,
    /// `None` while the body goes on.
    pub ending: Option<Ending>,
    /// What its rules read, encoded.
    pub inputs: Vec<u8>,
}

impl Kept {
    /// The verdict, in the words of the explain contract.
    pub fn verdict(&self) -> Verdict {
        self.reason.map_or(Verdict::Allow, Reason::verdict)
    }
}

struct Slot {
    /// One more than the decision's number; 0 in a slot that was never used.
    number: u64,
    /// The sequence of the event that is delivered; 0 for none.
    delivers: u64,
    snapshot: u64,
    at_ms: u64,
    verb: Verb,
    target: Option<Namespaced>,
    ground: Option<Ground>,
    /// Microseconds.
    head: u32,
    status: u16,
    reason: Option<Reason>,
    /// `None` while the body goes on; the next two mean nothing then.
    end: Option<End>,
    bytes: u64,
    /// Microseconds.
    duration: u64,
    inputs: u16,
    why: u16,
    text: [u8; TEXT_BYTES],
}

impl Slot {
    fn unused() -> Mutex<Self> {
        Mutex::new(Self {
            number: 0,
            delivers: 0,
            snapshot: 0,
            at_ms: 0,
            verb: Verb::Request,
            target: None,
            ground: None,
            head: 0,
            status: 0,
            reason: None,
            end: None,
            bytes: 0,
            duration: 0,
            inputs: 0,
            why: 0,
            text: [0; TEXT_BYTES],
        })
    }

    fn fill(&mut self, made: &Made<'_>) {
        self.number = made.number + 1;
        self.delivers = made.delivers.map_or(0, Sequence::get);
        self.snapshot = made.snapshot;
        self.at_ms = made.at_ms;
        self.verb = made.labels.verb;
        self.target = made.labels.resource().cloned();
        self.ground.clone_from(&made.labels.ground);
        self.status = made.outcome.status.as_u16();
        self.reason = made.outcome.failure.as_ref().map(|failure| failure.reason);
        self.head = made.head.as_micros().try_into().unwrap_or(u32::MAX);
        self.end = None;
        self.inputs = self.put(0, made.inputs);
        let why = made.outcome.failure.as_ref().map_or("", |failure| &failure.log);
        self.why = self.put(usize::from(self.inputs), why.as_bytes());
    }

    fn is(&self, number: u64) -> bool {
        self.number == number + 1
    }

    /// Copies as much as there is room for; answers how much that was.
    fn put(&mut self, at: usize, bytes: &[u8]) -> u16 {
        let room = &mut self.text[at..];
        let fits = bytes.len().min(room.len());
        room[..fits].copy_from_slice(&bytes[..fits]);
        // The text is far smaller than 64 KiB.
        fits as u16
    }

    fn read(&self) -> Kept {
        let (inputs, rest) = self.text.split_at(usize::from(self.inputs));
        Kept {
            snapshot: self.snapshot,
            at_ms: self.at_ms,
            verb: self.verb,
            target: self.target.clone(),
            ground: self.ground.clone(),
            status: self.status,
            reason: self.reason,
            // Cut anywhere, so perhaps within a character.
            why: String::from_utf8_lossy(&rest[..usize::from(self.why)]).trim_end_matches('\u{fffd}').to_owned(),
            head: Duration::from_micros(self.head.into()),
            ending: self.end.map(|end| Ending {
                end,
                bytes: self.bytes,
                duration: Duration::from_micros(self.duration),
            }),
            inputs: inputs.to_vec(),
        }
    }
}

impl Default for Decisions {
    fn default() -> Self {
        Self { blocks: (0..BLOCKS).map(|_| OnceLock::new()).collect() }
    }
}

impl Decisions {
    /// Keeps a decision in the place of the one that is [`KEPT`] or more numbers older. One that took so long that its
    /// place was taken meanwhile is not kept; kept again, it is what it came to in the end.
    pub fn keep(&self, made: &Made<'_>) {
        let Some(mut slot) = self.slot(made.number, true) else { return };
        if slot.number <= made.number + 1 {
            slot.fill(made);
        }
    }

    /// Completes a decision whose response has ended.
    pub fn end(&self, number: u64, ending: Ending) {
        if let Some(mut slot) = self.slot(number, false).filter(|slot| slot.is(number)) {
            slot.end = Some(ending.end);
            slot.bytes = ending.bytes;
            slot.duration = ending.duration.as_micros().try_into().unwrap_or(u64::MAX);
        }
    }

    /// The decision with this number, if it is still kept.
    pub fn get(&self, number: u64) -> Option<Kept> {
        self.slot(number, false).filter(|slot| slot.is(number)).map(|slot| slot.read())
    }

    /// The decisions about one event's delivery by one trigger that are still kept, oldest first. Looks at every slot,
    /// which takes some milliseconds.
    pub fn of_delivery(&self, trigger: &SpiffeId, sequence: Sequence) -> Vec<(u64, Kept)> {
        let blocks = self.blocks.iter().filter_map(OnceLock::get);
        let mut found: Vec<(u64, Kept)> = Vec::new();
        for slot in blocks.flatten() {
            let slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.number == 0 || slot.delivers != sequence.get() {
                continue;
            }
            let kept = slot.read();
            let caller = Encoding::decode(&kept.inputs).map(|question| question.caller);
            let is_trigger = |principal: &Principal| principal.workload() == Some(trigger);
            let by = |caller: Caller| is_trigger(&caller.principal) || caller.via.as_ref().is_some_and(is_trigger);
            if caller.is_some_and(by) {
                found.push((slot.number - 1, kept));
            }
        }
        found.sort_unstable_by_key(|(number, _)| *number);
        found
    }

    fn slot(&self, number: u64, make: bool) -> Option<MutexGuard<'_, Slot>> {
        let place = (number % (BLOCKS * BLOCK) as u64) as usize;
        let block = &self.blocks[place / BLOCK];
        let block = match make {
            true => Some(block.get_or_init(|| (0..BLOCK).map(|_| Slot::unused()).collect())),
            false => block.get(),
        };
        Some(block?[place % BLOCK].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
