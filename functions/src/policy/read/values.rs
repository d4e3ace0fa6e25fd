//! Reads a list and its `not…` list together, because a value that the one asks for and the other excludes is a mistake
//! of both.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

use crate::manifest::{Code, Field, Findings, Section};
use crate::policy::{Match, PathMatch, StringMatch};
use crate::value::IpBlock;

/// Entries of one list.
const ENTRIES: usize = 4_096;

/// Pairs of two lists that are compared with each other; of longer lists only equal values are found.
const PAIRS: usize = 1 << 20;

/// A value that may mean all that another one means.
pub(super) trait Covers: Eq + Hash + Display {
    /// Whether everything that `other` matches is matched by this.
    fn covers(&self, other: &Self) -> bool;
}

impl Covers for StringMatch {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
    }
}

impl Covers for PathMatch {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
    }
}

impl Covers for IpBlock {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
    }
}

/// The list under `key` and the one under its `not…` form.
pub(super) fn read_match<T: Covers>(
    section: &Section<'_>,
    key: &str,
    form: fn(&str) -> Result<T, String>,
    out: &mut Findings<'_>,
) -> Match<T> {
    let not = negated(key);
    let (any, places) = read_list(section, key, form, out);
    let (none, _) = read_list(section, &not, form, out);
    let equal: HashSet<&T> = none.iter().collect();
    let compare = any.len().saturating_mul(none.len()) <= PAIRS;
    for (value, place) in any.iter().zip(&places) {
        let excluding = match equal.get(value) {
            Some(same) => Some(*same),
            None if compare => none.iter().find(|none| none.covers(value)),
            None => None,
        };
        if let Some(excluding) = excluding {
            let message = format!("`{value}` is excluded by `{excluding}` in `{not}`, so it can never match");
            place.report(Code::BadValue, message, out);
        }
    }
    Match { any, none }
}

/// `principals`: `notPrincipals`.
fn negated(key: &str) -> String {
    let mut letters = key.chars();
    letters.next().map(|first| format!("not{}{}", first.to_ascii_uppercase(), letters.as_str())).unwrap_or_default()
}

fn read_list<'a, T>(
    section: &Section<'a>,
    key: &str,
    form: fn(&str) -> Result<T, String>,
    out: &mut Findings<'_>,
) -> (Vec<T>, Vec<Field<'a>>) {
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for entry in section.given(key).map(|field| field.some(ENTRIES, out)).unwrap_or_default() {
        let Some(text) = entry.text(out) else { continue };
        match form(text) {
            Ok(value) => {
                values.push(value);
                places.push(entry);
            }
            Err(why) => entry.report(Code::BadValue, format!("`{}`: {why}", entry.path()), out),
        }
    }
    (values, places)
}
