//! Lengths of time as people write them (`30s`, `1h30m`) and as Knative and CloudEvents write them (ISO 8601, `PT0.2S`).

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ValueError;

/// Units of the short form in milliseconds, in the order in which they may follow each other.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Longest duration a manifest may name: 100 years of 365 days. Far above any use, low enough that adding a duration to
/// a clock never overflows.
const LONGEST_MS: u64 = 100 * 365 * 86_400_000;

/// A length of time in whole milliseconds, at most 100 years.
///
/// Reads the short form (`250ms`, `30s`, `1h30m`, `7d`: units largest first, each once) and ISO 8601 (`PT0.2S`, `P1DT2H`,
/// `P2W`). Years and months are refused, because their length depends on the calendar. Displayed in the short form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self(std::time::Duration::ZERO);

    /// So many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(std::time::Duration::from_millis(millis))
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// The standard library's duration of the same length.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }

    /// Whole milliseconds; saturates.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl From<Duration> for std::time::Duration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let millis = match text.strip_prefix('P') {
            Some(iso) => iso_millis(iso),
            None => short_millis(text),
        };
        match millis {
            Some(millis) if millis <= LONGEST_MS => Ok(Self::from_millis(millis)),
            _ => Err(ValueError::new(format!(
                "`{}` is not a duration: expected 250ms, 30s, 1h30m, 7d, or ISO 8601 such as PT0.2S or P1D \
                 (whole milliseconds, at most 36500d, no months or years)",
                text.escape_debug()
            ))),
        }
    }
}

/// The short form: `7d`, `1h30m`, `250ms`.
fn short_millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |byte| !byte.is_ascii_digit());
        let (suffix, after) = split_where(after, |byte| byte.is_ascii_digit());
        // Units are taken from one iterator: each at most once, and only in falling order.
        let (_, unit) = units.find(|(name, _)| *name == suffix)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit)?)?;
        rest = after;
    }
    Some(total)
}

/// The part of an ISO 8601 duration after its `P`: weeks alone, or days, then after `T` hours, minutes and seconds, of
/// which the seconds may have a fraction.
fn iso_millis(text: &str) -> Option<u64> {
    if let Some(weeks) = text.strip_suffix('W') {
        return digits(weeks)?.checked_mul(7 * 86_400_000);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    if time.is_some_and(str::is_empty) || (date.is_empty() && time.is_none()) {
        return None;
    }
    let days = if date.is_empty() { 0 } else { digits(date.strip_suffix('D')?)?.checked_mul(86_400_000)? };
    let mut total = days;
    let mut rest = time.unwrap_or_default();
    let mut units = [('H', 3_600_000), ('M', 60_000), ('S', 1_000)].iter();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(end);
        let suffix = after.chars().next()?;
        let (_, unit) = units.find(|(name, _)| *name == suffix)?;
        let part = if suffix == 'S' { seconds_millis(number)? } else { digits(number)?.checked_mul(*unit)? };
        total = total.checked_add(part)?;
        rest = &after[1..];
    }
    Some(total)
}

/// Seconds with an optional fraction of up to three digits, after `.` or `,` (ISO 8601 allows both).
fn seconds_millis(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, "0"));
    // Trailing zeros add no precision: PT0.2000S is 200 ms. Finer than a millisecond is refused rather than rounded.
    let significant = match fraction.trim_end_matches('0') {
        "" => "0",
        trimmed => trimmed,
    };
    let scale = 10_u64.checked_pow(3_u32.checked_sub(u32::try_from(significant.len()).ok()?)?)?;
    digits(fraction)?;
    digits(whole)?.checked_mul(1_000)?.checked_add(digits(significant)?.checked_mul(scale)?)
}

/// Digits only: `parse` alone would also take a sign.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn split_where(text: &str, stop: impl Fn(u8) -> bool) -> (&str, &str) {
    let end = text.bytes().position(stop).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (suffix, unit) in UNITS {
            if rest >= unit {
                write!(f, "{}{suffix}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
