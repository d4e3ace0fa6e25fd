//! The power goes at every moment of short histories, and every disk that may be left then is recovered from. Whatever
//! had been promised must be kept by all of them.
//!
//! A history is a script of steps ([`script`]), played once on the simulated disk ([`play`]), which takes a picture before
//! each sync. From each picture every legal state is made, opened, compared with what had been promised, and written on
//! ([`check`]). Recovery is a history too, so some of the recoveries are interrupted in the same way.

mod check;
mod play;
mod promise;
mod script;

use check::Recovery;
use play::play;
use script::{Script, scripts};

use super::sim::crash::Crash;

/// States of an ordinary run, and of the profile `full`.
const STATES: u64 = 50_000;
const STATES_FULL: u64 = 1_000_000;
/// The states of one picture that are tried, of histories written by hand and by chance; of more than these, a sample.
const MOST_PER_PICTURE: [u64; 2] = [512, 128];
const MOST_PER_PICTURE_FULL: [u64; 2] = [16_384, 1_024];
/// One of so many recoveries is interrupted itself.
const INTERRUPT_ONE_OF: u64 = 512;
/// The states of one picture of a recovery that are tried.
const MOST_PER_INTERRUPTION: u64 = 8;

/// What was tried.
#[derive(Debug, Default)]
struct Tried {
    histories: u64,
    pictures: u64,
    /// Recovered from.
    states: u64,
    /// Of them, in interrupted recoveries.
    interrupted: u64,
    /// Pictures of which only a sample was tried.
    sampled: u64,
}

#[test]
fn every_disk_that_a_loss_of_power_may_leave_keeps_what_was_promised() {
    let (target, most) = if is_full() { (STATES_FULL, MOST_PER_PICTURE_FULL) } else { (STATES, MOST_PER_PICTURE) };
    let target = wanted().unwrap_or(target);
    let mut tried = Tried::default();
    for script in scripts() {
        if tried.states >= target {
            break;
        }
        try_all(&script, most[usize::from(script.seed > 0)], &mut tried);
    }
    println!("{tried:?}");
    assert!(tried.states >= target, "only {} states were tried", tried.states);
}

/// Plays a script and recovers from everything that may be left.
fn try_all(script: &Script, most: u64, tried: &mut Tried) {
    let played = play(script);
    tried.histories += 1;
    for (at, picture) in played.pictures.into_iter().enumerate() {
        tried.pictures += 1;
        let recovery = Recovery::new(script, &played.promises[..picture.promised]);
        let states = picture.states();
        let total = states.count();
        tried.sampled += u64::from(total > most);
        for number in sample(total, most) {
            let interrupt = (tried.states.is_multiple_of(INTERRUPT_ONE_OF)).then_some(MOST_PER_INTERRUPTION);
            let disk = states.disk(number);
            let left = disk.copy();
            match recovery.run(disk, interrupt.is_some()) {
                Err(violation) => panic!(
                    "{violation}\nwhen the power went before sync {at} and left state {number} of {total}\nof {script:?}\n\
                     promised {:?}\nleft {:?}",
                    recovery.promises(),
                    left.files(),
                ),
                Ok(pictures) => {
                    tried.states += 1;
                    pictures.into_iter().for_each(|picture| try_interrupted(&recovery, picture, tried));
                }
            }
        }
    }
}

/// Recovers from what an interrupted recovery may leave.
fn try_interrupted(recovery: &Recovery, picture: Crash, tried: &mut Tried) {
    let states = picture.states();
    for number in sample(states.count(), MOST_PER_INTERRUPTION) {
        if let Err(violation) = recovery.run(states.disk(number), false) {
            panic!("{violation}\nafter a recovery that was interrupted, of {:?}", recovery.promises());
        }
        tried.states += 1;
        tried.interrupted += 1;
    }
}

/// All numbers below `total`, or `most` of them: the first, the last, and others by chance.
fn sample(total: u64, most: u64) -> Box<dyn Iterator<Item = u64>> {
    if total <= most {
        return Box::new(0..total);
    }
    let mut seed = total;
    let chance = std::iter::repeat_with(move || script::chance(&mut seed) % total);
    Box::new([0, total - 1].into_iter().chain(chance.take(usize::try_from(most).unwrap() - 2)))
}

/// How many states, if `WEFT_CRASH_STATES` says so.
fn wanted() -> Option<u64> {
    let text = std::env::var("WEFT_CRASH_STATES").ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("WEFT_CRASH_STATES takes a number, not {text}")))
}

fn is_full() -> bool {
    std::env::var("NEXTEST_PROFILE").as_deref() == Ok("full")
}
