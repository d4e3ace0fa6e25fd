//! `kill -9` at any moment loses nothing that was answered 202, and nothing that was refused is ever delivered.
//!
//! Writers publish at full speed while the node is killed again and again and started on the same data; a sink records
//! every delivery. At the end everything pending is delivered, and [`verdict`] compares what was promised with what came.
//! Separate from `events`, because the rules are about whole histories and not about single answers.

mod campaign;
mod chance;
mod event;
mod sink;
mod verdict;
mod writer;

use campaign::Campaign;
use weft_tests::modules::{self, DEFECT_VARIABLE, defective};

/// Kills of an ordinary run.
const CYCLES: usize = 20;
/// Kills of a run with nextest's profile `full`.
const CYCLES_FULL: usize = 200;
/// Kills after which a node that answers too early must have been caught. With D2 each kill loses about fifty
/// milliseconds of answers, so the first one should do.
const CYCLES_TO_CATCH: usize = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_no_event_that_was_answered_202() {
    let mut campaign = Campaign::begin(modules::weft(), &[]).await;
    for _ in 0..cycles() {
        campaign.cycle().await;
    }
    let report = campaign.settle().await;
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.accepted > 0 && report.refused > 0, "nothing was tried\n{report}");
}

/// The checker itself must notice: seeded defect D2 answers 202 and writes the record 50 ms later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_202_before_the_write_is_caught() {
    let mut campaign = Campaign::begin(defective(), &[(DEFECT_VARIABLE, "D2")]).await;
    for _ in 0..CYCLES_TO_CATCH {
        campaign.cycle().await;
        let report = campaign.settle().await;
        if !report.lost.is_empty() {
            println!("{report}");
            return;
        }
    }
    panic!("{CYCLES_TO_CATCH} kills of a node that answers before it writes, and no loss was found");
}

/// How many kills: `WEFT_CRASH_CYCLES`, or what the profile says.
fn cycles() -> usize {
    match std::env::var("WEFT_CRASH_CYCLES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("WEFT_CRASH_CYCLES takes a number, not {text}")),
        Err(_) if std::env::var("NEXTEST_PROFILE").as_deref() == Ok("full") => CYCLES_FULL,
        Err(_) => CYCLES,
    }
}
