//! Each seeded defect that is the log's is caught: the test that is there for it fails when the defect is on, and says why.

use std::process::Command;

use crate::defects::Defect;

const CRASH: &str = "crash::every_disk_that_a_loss_of_power_may_leave_keeps_what_was_promised";

/// Defect, the test that catches it, and a part of what it says.
const CAUGHT: [(Defect, &str, &str); 12] = [
    (Defect::D1, CRASH, "was acknowledged at"),
    (Defect::D2, CRASH, "was acknowledged at"),
    (Defect::D3, CRASH, "was acknowledged at"),
    (Defect::D4, CRASH, "was acknowledged at"),
    (Defect::D5, CRASH, "was acknowledged at"),
    (Defect::D6, CRASH, "are handed out"),
    (Defect::D8, CRASH, "is not in the dead log"),
    (Defect::D9, "flips::a_flip_of_any_bit_of_64_kib_costs_at_most_its_frame_and_is_named", "assertion"),
    (Defect::D10, "formats::todays_writer_writes_format_1", "is written otherwise than in format 1"),
    (Defect::D11, CRASH, "is no duplicate"),
    (Defect::D12, "restart::a_clock_that_jumps_moves_no_retry", "the clock went forward"),
    (
        Defect::D13,
        "retention::a_full_topic_refuses_while_a_consumer_needs_its_oldest_segment",
        "a consumer needs what would go: Ok",
    ),
];

#[test]
fn every_seeded_defect_is_caught() {
    for (defect, test, says) in CAUGHT {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("local::tests::{test}"), "--nocapture"])
            .env("WEFT_DEFECT", format!("{defect:?}"))
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{defect:?} is not caught by {test}");
        assert!(said.contains(says), "{defect:?} is caught by {test} for another reason: {said}");
        println!("{defect:?} is caught by {test}");
    }
}
