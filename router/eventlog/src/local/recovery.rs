//! What a segment's bytes mean after a crash or a fault. Pure: bytes in, a verdict out; nothing is changed here.
//!
//! A frame that does not check is a *torn tail* only if nothing valid follows it in the last segment and no watermark
//! covers it; a tail is cut, for nobody was told of it. Anything else is *damage*: its sequences become a hole that is
//! skipped and reported, and everything around it is served.

use super::record::{ALIGN, Found, Look, look};
use super::segment::{Extent, HEADER, Header, Hole};

/// What a segment holds.
pub(super) struct Scan {
    pub(super) extent: Extent,
    /// Behind the last frame of the last segment there is something that is not a frame, and no acknowledged record.
    pub(super) torn: bool,
}

/// Reads a whole segment. `until` is the first sequence of the segment after it, `None` for the last one. `visit` is
/// called with each valid frame and its payload, in order.
pub(super) fn scan(bytes: &[u8], header: &Header, until: Option<u64>, visit: &mut dyn FnMut(&Found, &[u8])) -> Scan {
    let mut extent = Extent::new(header.first, header.previous, header.created_ms);
    let limit = until.unwrap_or(u64::MAX);
    let (mut at, mut chained, mut watermark) = (HEADER, true, 0);
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match look(rest, header.salt) {
            Look::Frame(found)
                if found.frame.sequence == extent.next
                    && extent.next < limit
                    && (!chained || found.frame.previous == extent.crc) =>
            {
                let payload = super::record::FRAME_HEADER;
                visit(&found, &rest[payload..payload + found.length]);
                watermark = watermark.max(found.frame.watermark);
                extent.push(&found, at as u64);
                at += found.span();
                chained = true;
            }
            _ if extent.next >= limit => break,
            _ => match search(bytes, at, header.salt, extent.next, limit) {
                Some((resume, sequence)) => {
                    let (first, offset) = (extent.next, at as u64);
                    extent.holes.push(Hole { first, until: sequence, offset, resume: resume as u64 });
                    extent.next = sequence;
                    at = resume;
                    chained = false;
                }
                None => break,
            },
        }
    }
    // Whatever a later statement covers was acknowledged, so that its absence is damage and not a torn tail.
    let covered = until.unwrap_or(watermark.saturating_add(1));
    let end = extent.end;
    if extent.next < covered {
        extent.holes.push(Hole { first: extent.next, until: covered, offset: end, resume: end });
        extent.next = covered;
    }
    let torn = until.is_none() && !is_zero(bytes.get(at..).unwrap_or_default());
    Scan { extent, torn }
}

/// The next place behind `from` where a frame with at least the sequence `next` and below `limit` begins.
fn search(bytes: &[u8], from: usize, salt: u32, next: u64, limit: u64) -> Option<(usize, u64)> {
    if is_zero(bytes.get(from..)?) {
        return None;
    }
    // A record takes more than one byte, so no sequence in this file is further away than its length.
    let highest = next.saturating_add(bytes.len() as u64).min(limit.saturating_sub(1));
    (from + ALIGN..bytes.len()).step_by(ALIGN).find_map(|at| {
        let sequence = u64::from_le_bytes(bytes.get(at + 8..at + 16)?.try_into().ok()?);
        if !(next..=highest).contains(&sequence) {
            return None;
        }
        matches!(look(&bytes[at..], salt), Look::Frame(_)).then_some((at, sequence))
    })
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
