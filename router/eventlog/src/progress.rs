//! How far each event came for one consumer. Pure: no files, no waiting, time is a parameter. Separate from the engines
//! because the states and their counting are the same wherever they are kept.
//!
//! ```text
//! start        floor                    cursor            next
//!   │ all passed │ passed, leased, returned │ the first of them waits │
//! ```
//! "Passed" means ended, or copied to the retry log. `accepted` is `next - start`, so the books balance by construction:
//! what has not ended is pending.

mod lines;
mod ranges;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) use lines::Key;
use lines::Lines;
pub(crate) use ranges::Ranges;

use crate::config::{MAX_OUTSTANDING, MAX_RETRY_DELAY};
use crate::settlement::{Counters, EventState, Lease, Terminal};

/// A failed event that waits for its next attempt, or is on lease for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    /// The attempt to come.
    pub(crate) attempt: u32,
    /// When it is due, Unix milliseconds: for display and for the disk.
    pub(crate) due_ms: u64,
    /// When it is due, in milliseconds of the monotonic clock: what counts.
    pub(crate) ready_at: u64,
    /// When the first attempt failed, Unix milliseconds.
    pub(crate) first_failure_ms: u64,
    /// Where the copy of the event is: a sequence of the engine's retry log.
    pub(crate) location: u64,
}

impl Retry {
    /// What follows a failed attempt, or one that does not count. A due time too far away is brought nearer, see
    /// `MAX_RETRY_DELAY`.
    pub(crate) fn after(lease: &Lease, counted: bool, due_ms: u64, now_ms: u64, now: u64) -> Self {
        let delay = delay(due_ms, now_ms);
        Self {
            attempt: lease.attempt.saturating_add(u32::from(counted)),
            due_ms: now_ms.saturating_add(delay),
            ready_at: now.saturating_add(delay),
            first_failure_ms: lease.first_failure_ms.unwrap_or(now_ms),
            location: 0,
        }
    }
}

/// How long to wait, in milliseconds, until a time of day.
pub(crate) fn delay(due_ms: u64, now_ms: u64) -> u64 {
    due_ms.saturating_sub(now_ms).min(u64::try_from(MAX_RETRY_DELAY.as_millis()).unwrap_or(u64::MAX))
}

/// The states of all events of one consumer.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// The first event that counts.
    pub(crate) start: u64,
    /// Everything below is passed.
    pub(crate) floor: u64,
    /// Passed at or above the floor.
    pub(crate) passed: Ranges,
    /// Ended, by state. `accepted` and `pending` are not kept but computed.
    pub(crate) ended: Counters,
    /// Failed events, by sequence; those on lease too.
    pub(crate) retries: BTreeMap<u64, Retry>,
    /// Retries that are not on lease, by when they are ready.
    due: BTreeSet<(u64, u64)>,
    /// On lease.
    leased: HashMap<u64, Held>,
    /// Given back before the first attempt ended.
    returned: BTreeSet<u64>,
    /// The first that waits: everything below has passed, is on lease or was returned. So may be events above it: after
    /// a restart a retry can be handed out before events below it that are free again.
    cursor: u64,
    /// Whose turn it is when only one event is asked for.
    retries_first: bool,
    /// Who waits for whom, if events with equal keys are handed out one after the other.
    lines: Option<Lines>,
    /// Nothing at or above is handed out for the first time.
    held_from: Option<u64>,
}

/// An event on lease.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// A settlement is being written.
    settling: bool,
    key: Option<Key>,
}

impl Progress {
    /// A consumer that has seen nothing.
    pub(crate) fn new(start: u64) -> Self {
        Self::restore(start, start, Ranges::default(), Counters::default(), BTreeMap::new())
    }

    /// A consumer as it was written down; no leases.
    pub(crate) fn restore(
        start: u64,
        floor: u64,
        passed: Ranges,
        ended: Counters,
        retries: BTreeMap<u64, Retry>,
    ) -> Self {
        let due = retries.iter().map(|(sequence, retry)| (retry.ready_at, *sequence)).collect();
        let (leased, returned) = (HashMap::new(), BTreeSet::new());
        let (cursor, retries_first, lines, held_from) = (floor, false, None, None);
        let mut progress = Self {
            start,
            floor,
            passed,
            ended,
            retries,
            due,
            leased,
            returned,
            cursor,
            retries_first,
            lines,
            held_from,
        };
        progress.rise();
        progress
    }

    /// How many retries and new events to hand out, given how many there are: half each, the other's share when one has
    /// fewer, in turns when only one is asked for.
    pub(crate) fn share(&mut self, max: usize, due: usize, fresh: usize) -> (usize, usize) {
        self.retries_first = !self.retries_first;
        let half = if self.retries_first { max.div_ceil(2) } else { max / 2 };
        let fresh = fresh.min(max - due.min(half));
        (due.min(max - fresh), fresh)
    }

    /// Retries that are ready, the longest waiting first.
    pub(crate) fn due(&self, now: u64, max: usize) -> Vec<u64> {
        let ready = self.due.iter().take_while(|(ready_at, _)| *ready_at <= now).map(|(_, sequence)| *sequence);
        ready.filter(|sequence| self.is_first(*sequence)).take(max).collect()
    }

    /// When the next retry is ready, on the monotonic clock.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.due.iter().find(|(_, sequence)| self.is_first(*sequence)).map(|(ready_at, _)| *ready_at)
    }

    /// New events that may be handed out, oldest first: what was given back, then what follows the cursor below `next`.
    pub(crate) fn fresh(&self, next: u64, max: usize) -> Vec<u64> {
        let mut fresh: Vec<u64> = self.returned.iter().copied().take(max).collect();
        let parked = self.lines.as_ref().map_or(0, |lines| lines.parked().len());
        let room = [self.retries.len(), self.passed.len(), parked]
            .into_iter()
            .map(|held| held + self.leased.len())
            .map(|held| MAX_OUTSTANDING.saturating_sub(held))
            .fold(max.saturating_sub(fresh.len()), usize::min);
        let next = self.held_from.map_or(next, |held_from| held_from.min(next));
        let mut sequence = self.waiting_from(self.cursor);
        for _ in 0..room {
            if sequence >= next {
                break;
            }
            fresh.push(sequence);
            sequence = self.waiting_from(sequence + 1);
        }
        fresh
    }

    /// The first event at or after this one that has not passed and was not handed out.
    fn waiting_from(&self, mut sequence: u64) -> u64 {
        loop {
            sequence = self.passed.skip(sequence);
            let parked = self.lines.as_ref().is_some_and(|lines| lines.parked().contains(&sequence));
            if !self.leased.contains_key(&sequence) && !self.returned.contains(&sequence) && !parked {
                return sequence;
            }
            sequence += 1;
        }
    }

    /// Hands the event out; the number of the attempt and what is known of earlier ones. `None` if it has to wait for
    /// another with its key.
    pub(crate) fn take(&mut self, sequence: u64, key: Option<Key>) -> Option<(u32, Option<Retry>)> {
        self.returned.remove(&sequence);
        let retry = self.retries.get(&sequence).copied();
        if let Some(lines) = &mut self.lines
            && !lines.enter(sequence, key)
        {
            // A failed event is found again by its due time.
            if retry.is_none() {
                lines.park(sequence);
            }
            self.cursor = self.waiting_from(self.cursor);
            return None;
        }
        self.leased.insert(sequence, Held { settling: false, key });
        self.cursor = self.waiting_from(self.cursor);
        if let Some(retry) = retry {
            self.due.remove(&(retry.ready_at, sequence));
        }
        Some((retry.map_or(1, |retry| retry.attempt), retry))
    }

    /// Lets events with equal keys be handed out one after the other from now on, or as they come. For the former the
    /// keys of all failed events must be known: otherwise the answer names those that are not, with their locations, and
    /// nothing has changed.
    pub(crate) fn line_up(&mut self, ordered: bool, keys: &HashMap<u64, Option<Key>>) -> Vec<(u64, u64)> {
        match (ordered, &mut self.lines) {
            (true, None) => {}
            (true, Some(_)) | (false, None) => return Vec::new(),
            (false, Some(lines)) => {
                self.returned.extend(lines.parked());
                self.lines = None;
                return Vec::new();
            }
        }
        let key_of =
            |sequence: &u64| self.leased.get(sequence).map(|held| held.key).or_else(|| keys.get(sequence).copied());
        let unknown: Vec<(u64, u64)> = self
            .retries
            .iter()
            .filter(|(sequence, _)| key_of(sequence).is_none())
            .map(|(sequence, retry)| (*sequence, retry.location))
            .collect();
        if !unknown.is_empty() {
            return unknown;
        }
        let mut lines = Lines::default();
        for sequence in self.retries.keys().chain(self.leased.keys()) {
            lines.enter(*sequence, key_of(sequence).flatten());
        }
        self.lines = Some(lines);
        unknown
    }

    /// Hands out new events only below what is sorted, from now on. The first that is not.
    pub(crate) fn hold(&mut self) -> u64 {
        let first = self.waiting_from(self.cursor);
        *self.held_from.get_or_insert(first)
    }

    /// Hands out all new events again.
    pub(crate) fn unhold(&mut self) {
        self.held_from = None;
    }

    /// Whether new events are handed out only as far as they are sorted.
    pub(crate) fn is_held(&self) -> bool {
        self.held_from.is_some()
    }

    /// Ends what waits below `until` and is not sorted, but for `passing`, as filtered. The first that is not sorted then,
    /// and how many ended.
    pub(crate) fn sort(&mut self, until: u64, passing: &[u64]) -> (u64, u64) {
        let Some(from) = self.held_from else { return (until, 0) };
        // Each event that passes may leave a range of its own before it.
        if until <= from || self.passed.len() + passing.len() >= MAX_OUTSTANDING / 2 {
            return (from, 0);
        }
        let (mut first, mut ended) = (from, 0);
        for stop in passing.iter().copied().filter(|passing| (from..until).contains(passing)).chain([until]) {
            if first < stop {
                ended += self.end_waiting(first, stop, Terminal::Filtered);
            }
            first = stop + 1;
        }
        self.held_from = Some(until);
        (until, ended)
    }

    /// The first event that was not handed out since this was made.
    pub(crate) fn first_new(&self) -> u64 {
        self.waiting_from(self.cursor)
    }

    fn is_first(&self, sequence: u64) -> bool {
        self.lines.as_ref().is_none_or(|lines| lines.is_first(sequence))
    }

    /// Takes an event out of its line: the next may go.
    fn leave_line(&mut self, sequence: u64) {
        let next = self.lines.as_mut().and_then(|lines| lines.leave(sequence));
        self.returned.extend(next);
    }

    /// Takes the event back, unless its settlement is being written. False when it was not on lease.
    pub(crate) fn give_back(&mut self, sequence: u64) -> bool {
        if self.leased.get(&sequence).is_none_or(|held| held.settling) {
            return false;
        }
        self.leased.remove(&sequence);
        match self.retries.get(&sequence) {
            Some(retry) => self.due.insert((retry.ready_at, sequence)),
            None => self.returned.insert(sequence),
        };
        true
    }

    /// Takes back everything that is on lease.
    pub(crate) fn give_back_all(&mut self) {
        let leased: Vec<u64> = self.leased.keys().copied().collect();
        for sequence in leased {
            self.give_back(sequence);
        }
    }

    /// Begins a settlement: only the holder of a lease may, and only once.
    pub(crate) fn claim(&mut self, sequence: u64) -> bool {
        match self.leased.get_mut(&sequence) {
            Some(held) if !held.settling => {
                held.settling = true;
                true
            }
            _ => false,
        }
    }

    /// Defect D6: what is on lease counts as passed.
    pub(crate) fn as_if_settled(&self) -> Self {
        let mut progress = self.clone();
        for sequence in self.leased.keys() {
            progress.pass(*sequence, sequence + 1);
        }
        progress
    }

    /// The settlement could not be written; the lease goes on.
    pub(crate) fn unclaim(&mut self, sequence: u64) {
        if let Some(held) = self.leased.get_mut(&sequence) {
            held.settling = false;
        }
    }

    /// Where the copy of a failed event is.
    pub(crate) fn location_of(&self, sequence: u64) -> Option<u64> {
        self.retries.get(&sequence).map(|retry| retry.location)
    }

    /// Ends the event. Does nothing, and says so, when it had ended: reading a log again changes nothing.
    pub(crate) fn end(&mut self, sequence: u64, state: Terminal) -> bool {
        if sequence < self.start || self.has_ended(sequence) {
            return false;
        }
        if let Some(retry) = self.retries.remove(&sequence) {
            self.due.remove(&(retry.ready_at, sequence));
        }
        self.leased.remove(&sequence);
        self.pass(sequence, sequence + 1);
        self.ended.count(state, 1);
        self.leave_line(sequence);
        true
    }

    /// Ends an event that is put aside and not on lease. False when it is not.
    pub(crate) fn end_aside(&mut self, sequence: u64, state: Terminal) -> bool {
        self.retries.contains_key(&sequence) && !self.leased.contains_key(&sequence) && self.end(sequence, state)
    }

    /// Ends the events `first..until` that wait to be handed out: they are gone. How many those were.
    pub(crate) fn end_waiting(&mut self, first: u64, until: u64, state: Terminal) -> u64 {
        let first = first.max(self.floor).max(self.start);
        let mut held: Vec<u64> =
            self.leased.keys().copied().filter(|sequence| (first..until).contains(sequence)).collect();
        held.sort_unstable();
        let mut lost = 0;
        let mut from = first;
        for stop in held.into_iter().chain([until]) {
            if from < stop {
                lost += (stop - from) - self.passed.count(from, stop);
                self.pass(from, stop);
            }
            from = stop + 1;
        }
        self.ended.count(state, lost);
        self.leave_lines(first, until);
        lost
    }

    /// Takes those of `first..until` out of their lines that are neither on lease nor put aside.
    fn leave_lines(&mut self, first: u64, until: u64) {
        let Some(lines) = &self.lines else { return };
        let waiting = |sequence: &u64| !self.leased.contains_key(sequence) && !self.retries.contains_key(sequence);
        let gone: Vec<u64> = lines.within(first, until).filter(waiting).collect();
        for sequence in gone {
            self.leave_line(sequence);
        }
        self.returned.retain(|sequence| !(first..until).contains(sequence));
    }

    /// Puts a failed event aside until it is ready. Later attempts replace earlier ones; an ended event stays ended.
    pub(crate) fn put_aside(&mut self, sequence: u64, retry: Retry) {
        if sequence < self.start || self.has_ended(sequence) {
            return;
        }
        if let Some(earlier) = self.retries.insert(sequence, retry) {
            self.due.remove(&(earlier.ready_at, sequence));
        }
        self.due.insert((retry.ready_at, sequence));
        self.leased.remove(&sequence);
        self.pass(sequence, sequence + 1);
    }

    /// The whole account, when the topic goes up to `next`.
    pub(crate) fn counters(&self, next: u64) -> Counters {
        // Never below what has ended, even if a topic came back shorter than it was.
        let accepted = next.max(self.cursor).saturating_sub(self.start).max(self.ended.ended());
        Counters { accepted, pending: accepted - self.ended.ended(), ..self.ended }
    }

    /// Where one event stands.
    pub(crate) fn state_of(&self, sequence: u64, next: u64) -> Option<EventState> {
        if sequence < self.start || sequence >= next {
            None
        } else if self.leased.contains_key(&sequence) {
            Some(EventState::Leased)
        } else if let Some(retry) = self.retries.get(&sequence) {
            Some(EventState::Retrying { attempt: retry.attempt, due_ms: retry.due_ms })
        } else if self.has_passed(sequence) {
            Some(EventState::Ended)
        } else {
            Some(EventState::Waiting)
        }
    }

    fn has_passed(&self, sequence: u64) -> bool {
        sequence < self.floor || self.passed.contains(sequence)
    }

    fn has_ended(&self, sequence: u64) -> bool {
        self.has_passed(sequence) && !self.retries.contains_key(&sequence)
    }

    fn pass(&mut self, first: u64, until: u64) {
        if until > self.floor {
            self.passed.insert(first.max(self.floor), until);
        }
        self.returned.retain(|sequence| !(first..until).contains(sequence));
        self.rise();
    }

    /// Lifts the floor over what is passed.
    fn rise(&mut self) {
        self.floor = self.passed.take_from(self.floor);
        self.cursor = self.cursor.max(self.floor);
    }
}
