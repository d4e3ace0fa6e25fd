//! How the control plane writes and reads points in time: RFC 3339 in UTC. Separate so that the change log and the admin
//! API agree to the letter.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const NANOS_PER_MS: i128 = 1_000_000;

/// Unix milliseconds as text. What lies beyond the year 9999, which RFC 3339 cannot write, becomes the epoch.
pub(super) fn rfc3339(ms: u64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * NANOS_PER_MS)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}

/// Text as Unix milliseconds; `None` when it is no RFC 3339 or before 1970.
pub(super) fn parse(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / NANOS_PER_MS).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let check = |ms: u64, expect: &str| {
            assert_eq!(rfc3339(ms), expect);
            assert_eq!(parse(expect), Some(ms), "{expect}");
        };
        check(0, "1970-01-01T00:00:00Z");
        check(1_795_431_600_000, "2026-11-23T11:00:00Z");
        check(1_795_431_600_250, "2026-11-23T11:00:00.25Z");
        assert_eq!(parse("2026-11-23T12:00:00+01:00"), Some(1_795_431_600_000));
        assert_eq!(rfc3339(u64::MAX), "1970-01-01T00:00:00Z");
        for bad in ["", "now", "2026-11-23", "1969-12-31T23:59:59Z"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
