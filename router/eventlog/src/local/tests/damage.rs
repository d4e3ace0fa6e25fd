//! Damage to any file of a data directory: flipped bits, cut, missing, exchanged and unreadable parts. Whatever is lost is
//! named, whatever else is there is served, and nothing else is.

mod fixture;

use std::path::{Path, PathBuf};

use fixture::{Fixture, Loss};

use super::sim::SimDisk;
use crate::local::segment::{HEADER, file_name};

/// Of the bits that mean nothing (zeros behind a header), one of so many is tried.
const SPARSE: u64 = 61;

fn is_full() -> bool {
    std::env::var("NEXTEST_PROFILE").as_deref() == Ok("full")
}

/// The bits of a file that are flipped: all that mean something, some of the others; with the profile `full` all.
fn bits(path: &Path, bytes: &[u8]) -> Vec<u64> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (segment, mark) = (path.extension().is_some_and(|kind| kind == "seg"), path.ends_with("mark"));
    let empty = |at: usize| bytes[at] == 0 && (mark || segment && at < HEADER);
    let all = 0..used as u64 * 8;
    all.filter(|bit| is_full() || bit % SPARSE == 0 || !empty(usize::try_from(bit / 8).unwrap())).collect()
}

#[test]
fn a_flip_of_any_bit_of_any_file_costs_at_most_one_batch_and_is_named() {
    let (mut flips, mut costly) = (0, 0);
    for closed in [false, true] {
        let fixture = Fixture::new(20, closed);
        // The other files are the same when the log was closed.
        let paths = fixture.disk.files().into_iter();
        for path in paths.filter(|path| !closed || path.extension().is_none_or(|kind| kind != "seg")) {
            let (mut tried, mut lost) = (0, 0);
            for bit in bits(&path, &fixture.disk.get(&path)) {
                let disk = fixture.disk.copy();
                disk.flip(&path, bit);
                let loss = fixture.check(&disk, bit % 32 == 0);
                let loss = loss.unwrap_or_else(|wrong| panic!("bit {bit} of {}: {wrong}", path.display()));
                assert!(loss.is_at_most_one_batch(), "bit {bit} of {} costs {loss:?}", path.display());
                tried += 1;
                lost += u64::from(loss != Loss::default());
            }
            println!("{}: {tried} flips, {lost} cost something", path.display());
            flips += tried;
            costly += lost;
        }
    }
    println!("{flips} flips, {costly} cost something");
    assert!(flips > 10_000 && costly > 1_000);
}

#[test]
fn what_is_cut_from_any_file_is_named() {
    for closed in [false, true] {
        let fixture = Fixture::new(900, closed);
        for path in fixture.disk.files() {
            let bytes = fixture.disk.get(&path);
            let step = if bytes.len() > 1_000 { 97 } else { 1 };
            for length in (0..bytes.len()).step_by(step) {
                let disk = fixture.disk.copy();
                disk.put(&path, &bytes[..length]);
                let checked = fixture.check(&disk, length % 16 == 0);
                checked.unwrap_or_else(|wrong| panic!("{} cut to {length} bytes: {wrong}", path.display()));
            }
        }
    }
}

#[test]
fn any_file_that_is_missing_is_noticed() {
    for closed in [false, true] {
        let fixture = Fixture::new(900, closed);
        for path in fixture.disk.files() {
            let disk = fixture.disk.copy();
            crate::Storage::remove(&disk, &path).unwrap();
            let loss = fixture.check(&disk, true);
            let loss = loss.unwrap_or_else(|wrong| panic!("without {}: {wrong}", path.display()));
            let topic = path.starts_with(Path::new(fixture::DIR).join("topics")) && path.extension().is_some();
            assert_eq!(!loss.events.is_empty(), topic, "without {}: {loss:?}", path.display());
        }
    }
}

/// Segments under each other's names, one twice, and parts of one in other places.
#[test]
fn bytes_in_the_wrong_place_are_not_served() {
    let fixture = Fixture::new(900, false);
    let topic = |ordinal| -> PathBuf { Path::new(fixture::DIR).join("topics/ns+t").join(file_name(ordinal)) };
    let (one, two) = (fixture.disk.get(&topic(1)), fixture.disk.get(&topic(2)));
    let check = |about: String, change: &dyn Fn(&SimDisk)| {
        let disk = fixture.disk.copy();
        change(&disk);
        fixture.check(&disk, true).unwrap_or_else(|wrong| panic!("{about}: {wrong}"))
    };
    check("two segments exchanged".to_owned(), &|disk| {
        disk.put(&topic(1), &two);
        disk.put(&topic(2), &one);
    });
    check("a segment twice".to_owned(), &|disk| disk.put(&topic(2), &one));
    check("a segment once more".to_owned(), &|disk| disk.put(&topic(9), &one));
    let sector = |bytes: &[u8], at: usize| bytes[at * 512..(at + 1) * 512].to_vec();
    for from in 8..one.len() / 512 {
        for to in (8..one.len() / 512).filter(|to| *to != from) {
            let mut mixed = one.clone();
            mixed[to * 512..(to + 1) * 512].copy_from_slice(&sector(&one, from));
            check(format!("sector {from} written to {to} too"), &|disk| disk.put(&topic(1), &mixed));
            let mut foreign = two.clone();
            if to < two.len() / 512 {
                foreign[to * 512..(to + 1) * 512].copy_from_slice(&sector(&one, from));
                check(format!("sector {from} written to {to} of another"), &|disk| disk.put(&topic(2), &foreign));
            }
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_costs_what_is_on_it() {
    let fixture = Fixture::new(900, false);
    for path in fixture.disk.files() {
        let pages = fixture.disk.get(&path).len().div_ceil(4_096) as u64;
        for page in 0..pages {
            let disk = fixture.disk.copy();
            disk.faults(|faults| faults.unreadable.push((path.clone(), page * 4_096..(page + 1) * 4_096)));
            let checked = fixture.check(&disk, true);
            checked.unwrap_or_else(|wrong| panic!("page {page} of {}: {wrong}", path.display()));
        }
    }
}
