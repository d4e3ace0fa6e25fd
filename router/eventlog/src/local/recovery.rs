//! What a segment's bytes mean after a crash or a fault: bytes in, a verdict out; nothing is changed here.
//!
//! A frame that does not check is a *torn tail* only if nothing valid follows it in the last segment and no watermark
//! covers it; a tail is cut, for nobody was told of it. Anything else is *damage*: its sequences become a hole that is
//! skipped and reported, and everything around it is served. Watermarks are in the frames and in the log's mark file
//! (`mark.rs`): what they cover was acknowledged.

use super::record::{ALIGN, FRAME_HEADER, Found};
use super::segment::{Extent, HEADER, Header, Hole};
use super::window::Window;
use crate::LogError;
use crate::defects::{Defect, seeded};

/// What a segment holds.
pub(super) struct Scan {
    pub(super) extent: Extent,
    /// Behind the last frame of the last segment there is something that is not a frame, and no acknowledged record.
    pub(super) torn: bool,
}

/// What others say of a segment's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Another segment follows, and begins with this sequence.
    Before(u64),
    /// It is the last one, and everything below this sequence is known to have been synced.
    Open(u64),
}

/// Reads a whole segment. `visit` is called with each valid frame and its payload, in order.
pub(super) fn scan(
    window: &mut Window<'_>,
    header: &Header,
    end: End,
    visit: &mut dyn FnMut(&Found, &[u8]),
) -> Result<Scan, LogError> {
    let mut extent = Extent::new(header.first, header.previous, header.created_ms);
    let limit = if let End::Before(first) = end { first } else { u64::MAX };
    let (mut at, mut chained, mut watermark) = (HEADER as u64, true, 0);
    while extent.next < limit {
        match window.frame(at, header.salt)? {
            Some((found, payload))
                if found.frame.sequence == extent.next && (!chained || found.frame.previous == extent.crc) =>
            {
                visit(&found, payload);
                watermark = watermark.max(found.frame.watermark);
                extent.push(&found, at);
                at = extent.end;
                chained = true;
            }
            _ if seeded(Defect::D9) => return Ok(Scan { extent, torn: !window.is_zero(at)? }),
            _ => match search(window, at, header.salt, extent.next, limit)? {
                Some((resume, sequence)) => {
                    extent.holes.push(Hole { first: extent.next, until: sequence, offset: at, resume });
                    (extent.next, at, chained) = (sequence, resume, false);
                }
                None => break,
            },
        }
    }
    // Whatever a later statement covers was acknowledged, so that its absence is damage and not a torn tail.
    let covered = match end {
        End::Before(first) => first,
        End::Open(durable) => durable.max(watermark.saturating_add(1)),
    };
    let whole = extent.next >= covered;
    if !whole {
        extent.holes.push(Hole { first: extent.next, until: covered, offset: extent.end, resume: extent.end });
        extent.next = covered;
    }
    Ok(Scan { torn: whole && matches!(end, End::Open(_)) && !window.is_zero(at)?, extent })
}

/// The next place behind `from` where a frame with at least the sequence `next` and below `limit` begins.
fn search(
    window: &mut Window<'_>,
    from: u64,
    salt: u32,
    next: u64,
    limit: u64,
) -> Result<Option<(u64, u64)>, LogError> {
    if window.is_zero(from)? {
        return Ok(None);
    }
    // A record takes more than one byte, so no sequence in this file is further away than its length.
    let highest = next.saturating_add(window.size()).min(limit.saturating_sub(1));
    let mut at = from + ALIGN as u64;
    while at < window.size() {
        let bytes = window.at(at, FRAME_HEADER)?;
        if bytes.len() < FRAME_HEADER {
            break;
        }
        // The places that can be told from what is at hand.
        let places = (bytes.len() - FRAME_HEADER) / ALIGN + 1;
        let found = (0..places).find(|place| (next..=highest).contains(&sequence_at(bytes, place * ALIGN)));
        at += (found.unwrap_or(places) * ALIGN) as u64;
        if found.is_some() {
            if let Some((found, _)) = window.frame(at, salt)? {
                return Ok(Some((at, found.frame.sequence)));
            }
            at += ALIGN as u64;
        }
    }
    Ok(None)
}

/// The sequence that a frame at this place would have.
fn sequence_at(bytes: &[u8], at: usize) -> u64 {
    let mut sequence = [0; 8];
    sequence.copy_from_slice(&bytes[at + 8..at + 16]);
    u64::from_le_bytes(sequence)
}
