//! What a consumer writes into its three logs, as bytes. Pure.
//!
//! ```text
//! settled   any number of: u8 state, u64 sequence
//! retries   u32 attempt to come, u64 due ms, u64 first failure ms, cause, event
//! dead      u8 state, u32 attempts, u64 at ms, cause, u8 kind: 0 event | 1 range: u64 first, u64 last
//! event     u64 sequence, u64 admitted ms, record as in a topic's frame
//! cause     u16 number of pairs, each u16 length, name, u32 length, value
//! ```

use bytes::Bytes;

use crate::local::fields::{Fields, Put as _};
use crate::local::record::{decode_record, encode_record};
use crate::{DeadEvents, DeadRecord, NewRecord, Record, Sequence, Terminal};

const ONE: u8 = 0;
const RANGE: u8 = 1;

/// A failed event, put aside.
pub(super) struct Failure {
    pub(super) attempt: u32,
    pub(super) due_ms: u64,
    pub(super) first_failure_ms: u64,
    pub(super) cause: Vec<(String, String)>,
    pub(super) record: Record,
}

pub(super) fn encode_settled(settled: &[(u64, Terminal)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(settled.len() * 9);
    for (sequence, state) in settled {
        out.put_u8(state.code());
        out.put_u64(*sequence);
    }
    out
}

pub(super) fn decode_settled(entry: Bytes) -> Option<Vec<(u64, Terminal)>> {
    let mut fields = Fields::new(entry);
    let mut settled = Vec::new();
    while !fields.is_empty() {
        let state = Terminal::from_code(fields.u8()?)?;
        settled.push((fields.u64()?, state));
    }
    Some(settled)
}

impl Failure {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.record.body.len() + 256);
        out.put_u32(self.attempt);
        out.put_u64(self.due_ms);
        out.put_u64(self.first_failure_ms);
        out.put_pairs(&self.cause);
        encode_event(&self.record, &mut out);
        out
    }

    pub(super) fn decode(entry: Bytes) -> Option<Self> {
        let mut fields = Fields::new(entry);
        let (attempt, due_ms, first_failure_ms) = (fields.u32()?, fields.u64()?, fields.u64()?);
        let (cause, record) = (fields.pairs()?, decode_event(&mut fields)?);
        fields.is_empty().then_some(Self { attempt, due_ms, first_failure_ms, cause, record })
    }
}

/// The number of the entry is its sequence, not part of it.
pub(super) fn encode_dead(dead: &DeadRecord) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u8(dead.state.code());
    out.put_u32(dead.attempts);
    out.put_u64(dead.at_ms);
    out.put_pairs(&dead.cause);
    match &dead.what {
        DeadEvents::One(record) => {
            out.put_u8(ONE);
            encode_event(record, &mut out);
        }
        DeadEvents::Range { first, last } => {
            out.put_u8(RANGE);
            out.put_u64(first.get());
            out.put_u64(last.get());
        }
    }
    out
}

pub(super) fn decode_dead(number: u64, entry: Bytes) -> Option<DeadRecord> {
    let mut fields = Fields::new(entry);
    let state = Terminal::from_code(fields.u8()?)?;
    let (attempts, at_ms, cause) = (fields.u32()?, fields.u64()?, fields.pairs()?);
    let what = match fields.u8()? {
        ONE => DeadEvents::One(decode_event(&mut fields)?),
        RANGE => DeadEvents::Range { first: Sequence::new(fields.u64()?), last: Sequence::new(fields.u64()?) },
        _ => return None,
    };
    fields.is_empty().then_some(DeadRecord { number, state, attempts, cause, at_ms, what })
}

fn encode_event(record: &Record, out: &mut Vec<u8>) {
    let Record { sequence, admitted_ms, dedupe, key, subject, headers, body } = record.clone();
    out.put_u64(sequence.get());
    out.put_u64(admitted_ms);
    encode_record(&NewRecord { dedupe, key, subject, headers, body }, out);
}

fn decode_event(fields: &mut Fields) -> Option<Record> {
    let (sequence, admitted_ms) = (fields.u64()?, fields.u64()?);
    Some(decode_record(fields)?.kept(Sequence::new(sequence), admitted_ms))
}
