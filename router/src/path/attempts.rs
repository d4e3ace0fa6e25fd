//! Attempts at a delivery, as the log remembers them in the cause of a retry or a death. It stands below delivery, which
//! writes it, and explanations, which read it.

use serde::{Deserialize, Serialize};

/// In a cause: when the attempt was made, Unix milliseconds.
pub const AT: &str = "at";

/// In a cause: the attempts before, oldest first, as JSON.
pub const EARLIER: &str = "earlier";

/// Attempts that are remembered; of more, the last ones.
const REMEMBERED: usize = 16;

/// An attempt that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAttempt {
    /// When, Unix milliseconds.
    #[serde(rename = "at", skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// What was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reason code, if it was not the subscriber's own answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

impl PastAttempt {
    /// The attempts that a cause tells of, oldest first.
    pub fn all(cause: &[(String, String)]) -> Vec<Self> {
        let field = |name: &str| cause.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        // What does not read is of another version; the last attempt stands in fields of its own.
        let mut all: Vec<Self> =
            field(EARLIER).and_then(|earlier| serde_json::from_str(earlier).ok()).unwrap_or_default();
        if let Some(status) = field("status") {
            all.push(Self {
                at_ms: field(AT).and_then(|at| at.parse().ok()),
                status: status.parse().ok(),
                code: field("code").map(ToOwned::to_owned),
                decision: field("decision").map(ToOwned::to_owned),
            });
        }
        all
    }

    /// The last of these attempts, for [`EARLIER`]; `None` if there are none.
    pub fn written(all: &[Self]) -> Option<String> {
        let last = &all[all.len().saturating_sub(REMEMBERED)..];
        // Numbers and texts always have a JSON form.
        (!last.is_empty()).then(|| serde_json::to_string(last).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempts_are_remembered() {
        let cause = |number: u64, earlier: Option<String>| {
            let mut cause = vec![("status".to_owned(), "500".to_owned()), (AT.to_owned(), number.to_string())];
            cause.extend(earlier.map(|earlier| (EARLIER.to_owned(), earlier)));
            cause
        };
        let last =
            (1..100).fold(Vec::new(), |before, number| cause(number, PastAttempt::written(&PastAttempt::all(&before))));
        let at: Vec<_> = PastAttempt::all(&last).iter().filter_map(|past| past.at_ms).collect();
        assert_eq!(at, (99 - REMEMBERED as u64..100).collect::<Vec<_>>());
        assert!(PastAttempt::all(&[]).is_empty());
        assert_eq!(PastAttempt::written(&[]), None);
        let of_another_version = cause(1, Some("?".to_owned()));
        assert_eq!(PastAttempt::all(&of_another_version).len(), 1);
    }
}
