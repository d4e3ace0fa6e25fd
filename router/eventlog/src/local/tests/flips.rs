//! Every bit of a log of 64 KiB is flipped in turn: nothing that was changed is served, at most the frame that the bit is
//! in is lost, and exactly that is named.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sim::SimDisk;
use crate::local::log::SegmentLog;
use crate::local::record::FRAME_HEADER;
use crate::local::segment::{HEADER, file_name};
use crate::local::writer::{Draft, Layout, Writer};

/// Bytes of the log.
const BYTES: usize = 64 << 10;
const LAYOUT: Layout = Layout { segment_bytes: 1 << 20, reserve: BYTES as u64, marked: true };
/// Bytes of each payload but the last.
const PAYLOAD: usize = 472;

/// What was tried.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    flips: usize,
    /// Cost a frame, which was named.
    lost: usize,
    /// Cost nothing: they were in what is there twice or not used.
    harmless: usize,
}

fn payload(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (number * 31 + at * 7) as u8).collect()
}

/// A segment that is full to the last byte; its payloads.
fn written() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::default();
    let log = SegmentLog::open(Arc::new(disk.clone()), "/log".into(), "test".into(), &mut |_, _| {}).unwrap();
    let mut writer = Writer::new(Arc::new(log), LAYOUT, 1_000).unwrap();
    let (mut payloads, mut left) = (Vec::new(), BYTES - HEADER);
    while left > 0 {
        // A last frame that would be too small for a payload is part of the one before.
        let bytes = if left < 2 * (FRAME_HEADER + PAYLOAD) { left - FRAME_HEADER } else { PAYLOAD };
        let payload = payload(payloads.len(), bytes);
        writer.commit(&[Draft { count: 1, payload: payload.clone() }], 1_000, true).unwrap();
        left -= FRAME_HEADER + bytes;
        payloads.push(payload);
    }
    writer.close().unwrap();
    disk.settle();
    (disk, payloads)
}

/// Opens the log and reads it; which sequences are not served, and which are named.
fn lost(disk: &SimDisk, payloads: &[Vec<u8>]) -> (Vec<u64>, Vec<(u64, u64)>) {
    let log = SegmentLog::open(Arc::new(disk.clone()), "/log".into(), "test".into(), &mut |_, _| {}).unwrap();
    let mut expected = 1;
    let mut lost = Vec::new();
    let end = payloads.len() as u64 + 1;
    let reached = log.read(1, &mut |frame, payload| {
        lost.extend(expected..frame.sequence);
        let at = usize::try_from(frame.sequence - 1).unwrap();
        assert!(payload == payloads[at], "frame {} is served with other content", frame.sequence);
        expected = frame.next();
        true
    });
    assert_eq!(reached.unwrap(), end);
    lost.extend(expected..end);
    (lost, log.damaged())
}

#[test]
fn a_flip_of_any_bit_of_64_kib_costs_at_most_its_frame_and_is_named() {
    let (disk, payloads) = written();
    let path: PathBuf = Path::new("/log").join(file_name(1));
    let whole = disk.get(&path);
    assert_eq!(whole.len(), BYTES);
    let mut tried = Tried::default();
    for bit in 0..BYTES * 8 {
        disk.flip(&path, bit as u64);
        let (lost, named) = lost(&disk, &payloads);
        match lost.as_slice() {
            [] => tried.harmless += 1,
            [one] => {
                assert_eq!(named, [(*one, one + 1)], "bit {bit}");
                tried.lost += 1;
            }
            more => panic!("bit {bit} costs {more:?}"),
        }
        assert!(lost.is_empty() == (bit / 8 < HEADER), "bit {bit} costs {lost:?}");
        disk.flip(&path, bit as u64);
        tried.flips += 1;
    }
    assert!(disk.get(&path) == whole, "opening changed what is damaged");
    println!("{tried:?}");
    assert_eq!(tried, Tried { flips: 524_288, lost: 491_520, harmless: 32_768 });
}
