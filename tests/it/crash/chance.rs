//! Random numbers that a run can be repeated with: `WEFT_CRASH_SEED`. (What the machine does at the same time cannot be
//! repeated, so a seed repeats the plan and not the outcome.)

use std::hash::{BuildHasher, RandomState};

/// A sequence of numbers (splitmix64).
pub(super) struct Chance {
    pub(super) seed: u64,
    state: u64,
}

impl Chance {
    /// From `WEFT_CRASH_SEED`, else from the system's randomness.
    pub(super) fn new() -> Self {
        let seed = match std::env::var("WEFT_CRASH_SEED") {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("WEFT_CRASH_SEED takes a number, not {text}")),
            Err(_) => RandomState::new().hash_one("seed"),
        };
        Self { seed, state: seed }
    }

    /// A number in `0..end`; the bias for ends far below 2^64 does not matter here.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state) % end
    }
}

/// Spreads every bit of `value` over the result.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
