//! Bytes of a record. A *frame* is what is written, checked and lost as one: a whole append of a topic, a bundle of
//! settlements, an entry of a journal. All numbers are little endian; frames begin at multiples of 8.
//!
//! ```text
//! frame                                       record in a topic's frame
//!  0  u32  length of the payload               u8   bit 0: dedupe, bit 1: key
//!  4  u32  crc32c of 0..4 and 8..40+length     [u16 id length, id, 32 bytes digest]
//!  8  u64  sequence of the first record        [u16 key length, key]
//! 16  u32  number of records                   u16  subject length, subject
//! 20  u32  crc of the frame before (chain)     u16  number of headers,
//! 24  u64  durable watermark                        each u16 name length, name, u32 value length, value
//! 32  u64  admitted, Unix milliseconds         u32  body length, body
//! 40  payload, then zeros up to a multiple of 8
//! ```
//!
//! The crc starts from the segment's salt, so bytes of another segment, or bytes that a publisher made up to look like a
//! frame, do not pass. The chain catches a valid frame in the wrong place. The watermark is the highest sequence known
//! to be synced when the frame was written: what it covers was acknowledged and may never be taken for a torn tail.

use bytes::Bytes;

use super::fields::{Fields, Put};
use crate::defects::{Defect, seeded};
use crate::{DedupeKey, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, NewRecord, Record, Sequence};

/// Bytes before the payload.
pub(super) const FRAME_HEADER: usize = 40;
/// Frames begin at multiples of this, so that a search for the next one is short.
pub(super) const ALIGN: usize = 8;
/// The largest payload: a full batch, and for each record its lengths, its flags and 256 headers' lengths.
pub(super) const MAX_PAYLOAD: usize = MAX_BATCH_BYTES + MAX_BATCH_RECORDS * 2_048;

const HAS_DEDUPE: u8 = 1;
const HAS_KEY: u8 = 2;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    pub(super) count: u32,
    /// The crc of the frame before it in the log; for the first, the one its segment's header names.
    pub(super) previous: u32,
    /// The highest durable sequence when this was written; 0 for none.
    pub(super) watermark: u64,
    pub(super) admitted_ms: u64,
}

impl Frame {
    /// The sequence after its last record.
    pub(super) fn next(&self) -> u64 {
        self.sequence.saturating_add(u64::from(self.count))
    }

    /// Appends the frame to `out`; its crc.
    pub(super) fn encode(&self, salt: u32, payload: &[u8], out: &mut Vec<u8>) -> u32 {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let mut header = Vec::with_capacity(FRAME_HEADER);
        header.put_u32(length);
        header.put_u32(0);
        header.put_u64(self.sequence);
        header.put_u32(self.count);
        header.put_u32(self.previous);
        header.put_u64(self.watermark);
        header.put_u64(self.admitted_ms);
        let crc = check(salt, &header, payload);
        header[4..8].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(ALIGN), 0);
        crc
    }
}

/// A frame as found in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) frame: Frame,
    pub(super) crc: u32,
    /// Bytes of the payload.
    pub(super) length: usize,
}

impl Found {
    /// Bytes up to where the next frame begins.
    pub(super) fn span(&self) -> usize {
        (FRAME_HEADER + self.length).next_multiple_of(ALIGN)
    }
}

/// What the bytes at a frame's place are.
pub(super) enum Look {
    /// A frame whose check holds.
    Frame(Found),
    /// Not a frame.
    Nothing,
    /// Perhaps a frame; that many bytes are needed to tell.
    Needs(usize),
}

/// Looks for a frame at the beginning of `bytes`.
pub(super) fn look(bytes: &[u8], salt: u32) -> Look {
    let Some(header) = bytes.get(..FRAME_HEADER) else { return Look::Needs(FRAME_HEADER) };
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let long = |at: usize| u64::from(number(at)) | u64::from(number(at + 4)) << 32;
    let length = number(0) as usize;
    let frame = Frame {
        sequence: long(8),
        count: number(16),
        previous: number(20),
        watermark: long(24),
        admitted_ms: long(32),
    };
    if length > MAX_PAYLOAD || frame.sequence == 0 || frame.count == 0 {
        return Look::Nothing;
    }
    let Some(payload) = bytes.get(FRAME_HEADER..FRAME_HEADER + length) else {
        return Look::Needs(FRAME_HEADER + length);
    };
    let crc = number(4);
    if check(salt, header, payload) == crc { Look::Frame(Found { frame, crc, length }) } else { Look::Nothing }
}

fn check(salt: u32, header: &[u8], payload: &[u8]) -> u32 {
    let crc = if seeded(Defect::D10) { salt } else { crc32c::crc32c_append(salt, &header[..4]) };
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &header[8..]), payload)
}

/// Appends a record to the payload of a topic's frame.
pub(super) fn encode_record(record: &NewRecord, out: &mut Vec<u8>) {
    let NewRecord { dedupe, key, subject, headers, body } = record;
    let flags = if dedupe.is_some() { HAS_DEDUPE } else { 0 } | if key.is_some() { HAS_KEY } else { 0 };
    out.put_u8(flags);
    if let Some(dedupe) = dedupe {
        out.put_short(&dedupe.id);
        out.extend_from_slice(&dedupe.digest);
    }
    if let Some(key) = key {
        out.put_short(key);
    }
    out.put_short(subject);
    out.put_pairs(headers);
    out.put_long(body);
}

/// The records of a topic's frame that are wanted. `None` when the payload is not records; its check held, so it was
/// written wrongly.
pub(super) fn decode_records(frame: &Frame, payload: Bytes, mut wants: impl FnMut(u64) -> bool) -> Option<Vec<Record>> {
    let mut fields = Fields::new(payload);
    let mut records = Vec::new();
    for sequence in frame.sequence..frame.next() {
        if wants(sequence) {
            records.push(decode_record(&mut fields)?.kept(Sequence::new(sequence), frame.admitted_ms));
        } else {
            pass_record(&mut fields)?;
        }
    }
    fields.is_empty().then_some(records)
}

/// Goes past the next record of a payload.
fn pass_record(fields: &mut Fields) -> Option<()> {
    let flags = fields.u8()?;
    if flags & HAS_DEDUPE != 0 {
        fields.pass_short()?;
        fields.array::<32>()?;
    }
    if flags & HAS_KEY != 0 {
        fields.pass_short()?;
    }
    fields.pass_short()?;
    for _ in 0..fields.u16()? {
        fields.pass_short()?;
        fields.pass_long()?;
    }
    fields.pass_long()
}

/// The next record of a payload.
pub(super) fn decode_record(fields: &mut Fields) -> Option<NewRecord> {
    let flags = fields.u8()?;
    let dedupe =
        if flags & HAS_DEDUPE == 0 { None } else { Some(DedupeKey { id: fields.short()?, digest: fields.array()? }) };
    let key = if flags & HAS_KEY == 0 { None } else { Some(fields.short()?) };
    Some(NewRecord { dedupe, key, subject: fields.short()?, headers: fields.pairs()?, body: fields.long()? })
}
