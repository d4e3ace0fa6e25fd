//! Short histories: some written by hand so that each kind of write is cut short, the others made by chance from a seed.

/// A history.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// 0 for those written by hand.
    pub(super) seed: u64,
    pub(super) relaxed: bool,
    /// The topic keeps little, so that segments go as soon as nobody needs them.
    pub(super) small: bool,
    pub(super) steps: Vec<Step>,
}

/// What happens to events that are on lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Delivered,
    Dead,
    Retry,
    Released,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Appends at the same time, each of so many records of so many bytes.
    Append(Vec<(usize, usize)>),
    /// Leases at most so many, and settles each.
    Settle(usize, How),
    /// Leases at most so many, and keeps them.
    Hold(usize),
    /// So much time passes, in milliseconds.
    Wait(u64),
    /// Journal entries of so many bytes, at the same time.
    Journal(Vec<usize>),
    /// Replaces all but the last entry by a checkpoint.
    Compact,
    /// Deletes the consumer and the topic.
    Delete,
    /// The sync after so many others fails, and the cache then has what the disk has, or not.
    FailSync(u32, bool),
    /// So many bytes of the disk are free from now on; without a number as many as are needed.
    Room(Option<u64>),
    Close,
    /// Leaves the log as a kill would.
    Kill,
}

/// A number by chance (xorshift).
pub(super) fn chance(seed: &mut u64) -> u64 {
    *seed = (*seed).max(1);
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

/// All histories: those written by hand, then without end those made by chance.
pub(super) fn scripts() -> impl Iterator<Item = Script> {
    by_hand().into_iter().chain((1..).map(by_chance))
}

fn by_hand() -> Vec<Script> {
    use Step::{Append, Close, Compact, Delete, Hold, Journal, Kill, Settle, Wait};
    let mut scripts = vec![
        script(vec![one(100), one(4_000), Append(vec![(3, 900)]), one(0), Kill, one(100)]),
        script(vec![Append(vec![(1, 300); 4]), Append(vec![(1, 900); 3]), Close, one(2_000), Wait(1_500), one(2_000)]),
        // Segments of 16 KiB: each of these needs two.
        script(vec![Append(vec![(2, 4_000)]), Append(vec![(2, 2_000)]), one(5_000), one(100), Kill, one(5_000)]),
        Script { relaxed: true, ..script(vec![one(700), one(700), Wait(1_500), one(100), one(900), Close, one(900)]) },
        Script {
            small: true,
            ..script((0..8).flat_map(|_| [one(4_500), Settle(9, How::Delivered), Wait(10)]).collect())
        },
        script(vec![
            Append(vec![(6, 100)]),
            Settle(2, How::Delivered),
            Settle(1, How::Dead),
            Settle(1, How::Retry),
            Hold(1),
            Close,
            Settle(4, How::Retry),
            Kill,
            Settle(2, How::Dead),
            Settle(9, How::Delivered),
            Wait(10),
            Close,
        ]),
        script(vec![Append(vec![(5, 600)]), Settle(3, How::Retry), Settle(2, How::Dead), Settle(9, How::Dead), Close]),
        script(vec![
            Journal(vec![10, 700, 10]),
            Journal(vec![1_500]),
            Compact,
            Journal(vec![20, 20]),
            Close,
            Journal(vec![900]),
            Compact,
            Wait(1_500),
            Kill,
            Compact,
        ]),
        script(vec![one(500), Settle(1, How::Dead), Delete, one(600), Settle(1, How::Delivered), Close, Delete]),
    ];
    scripts.splice(0..0, (0..14).map(failing_at));
    scripts.extend([0, 4 << 10, 24 << 10, 72 << 10].map(full_but_for));
    scripts
}

fn script(steps: Vec<Step>) -> Script {
    Script { seed: 0, relaxed: false, small: false, steps }
}

fn one(bytes: usize) -> Step {
    Step::Append(vec![(1, bytes)])
}

/// The sync after so many others fails.
fn failing_at(after: u32) -> Script {
    use Step::{Append, Close, FailSync, Journal, Settle};
    script(vec![
        one(600),
        FailSync(after, after.is_multiple_of(2)),
        Append(vec![(1, 600), (2, 300)]),
        Settle(1, How::Dead),
        Settle(1, How::Retry),
        one(1_200),
        Journal(vec![300]),
        Settle(1, How::Delivered),
        Close,
        one(100),
    ])
}

/// For a while so many bytes are free.
fn full_but_for(free: u64) -> Script {
    use Step::{Append, Close, Room, Settle, Wait};
    script(vec![
        one(600),
        Room(Some(free)),
        Append(vec![(1, 600), (2, 3_000)]),
        Settle(1, How::Dead),
        Settle(1, How::Retry),
        one(1_200),
        Settle(3, How::Delivered),
        Wait(20),
        Room(None),
        Wait(1_500),
        one(100),
        Close,
    ])
}

fn by_chance(seed: u64) -> Script {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut below = |limit: u64| chance(&mut state) % limit;
    let steps = (0..6 + below(8)).map(|_| step(&mut below)).collect();
    Script { seed, relaxed: below(5) == 0, small: below(4) == 0, steps }
}

fn step(below: &mut impl FnMut(u64) -> u64) -> Step {
    let size = |number: u64| usize::try_from(number).unwrap();
    match below(21) {
        0..=7 => Step::Append((0..=below(3) / 2).map(|_| (size(1 + below(3)), size(below(2_200)))).collect()),
        8..=12 => {
            let how = [How::Delivered, How::Delivered, How::Dead, How::Retry, How::Released][size(below(5))];
            Step::Settle(size(1 + below(3)), how)
        }
        13 => Step::Hold(size(1 + below(2))),
        14 => Step::Wait([10, 1_500][size(below(2))]),
        15 => Step::Journal((0..=below(2)).map(|_| size(below(1_500))).collect()),
        16 => Step::Compact,
        17 => Step::FailSync(u32::try_from(below(12)).unwrap(), below(2) == 0),
        18 => Step::Room([None, Some(0), Some(below(40) << 10)][size(below(3))]),
        19 => Step::Close,
        _ => Step::Kill,
    }
}
