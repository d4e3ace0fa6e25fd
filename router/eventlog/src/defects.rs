//! Seeded defects: mistakes that a log like this is made with, to be switched on one at a time so that the tests show
//! that they would notice. The names are those of the project's list; D7, D14 and those after it are about other rooms.
//!
//! They exist in the unit tests and in binaries built with `WEFT_DEFECTS=1` (see `build.rs`), where `WEFT_DEFECT` names
//! the one that is on. Everywhere else [`seeded`] is `false` at compile time.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing is synced.
    D1,
    /// An append is answered before it is written.
    D2,
    /// The name of a new segment is not synced.
    D3,
    /// A sync that failed is tried again, and believed.
    D4,
    /// Who joins a group after the write is answered with it.
    D5,
    /// A position counts what was handed out as passed.
    D6,
    /// A settlement as dead does not wait for the dead log.
    D8,
    /// Whatever does not check is a torn tail.
    D9,
    /// The check leaves the length out.
    D10,
    /// Opening forgets which records would be duplicates.
    D11,
    /// Retries wait by the time of day.
    D12,
    /// Retention does not ask what consumers need.
    D13,
}

/// Whether the defect is on.
#[cfg(any(test, weft_defects))]
pub(crate) fn seeded(defect: Defect) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var("WEFT_DEFECT").ok());
    chosen.as_ref().is_some_and(|chosen| *chosen == format!("{defect:?}"))
}

/// Whether the defect is on: there are none in this build.
#[cfg(not(any(test, weft_defects)))]
pub(crate) const fn seeded(_: Defect) -> bool {
    false
}
