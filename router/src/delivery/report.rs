//! What one attempt came to, and how that is remembered: with a retry, with a death, and while a dead letter's copy
//! cannot be kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;

use super::dead_letter::ERROR_DATA_BYTES;
use crate::path::decision::DecisionId;
use crate::path::outcome::{Disposition, Failure, Outcome, Reason};

/// What one attempt at delivering came to.
pub(super) struct Report {
    /// What delivery does next.
    pub(super) disposition: Disposition,
    /// The status, as the subscriber or the mesh gave it.
    pub(super) status: StatusCode,
    /// The reason code, if it was not the subscriber's own answer.
    pub(super) code: Option<&'static str>,
    /// The start of the answer's body.
    pub(super) data: Bytes,
    /// The decision under which the attempt is recorded.
    pub(super) decision: Option<DecisionId>,
    /// Which attempt it was, if not the present one.
    attempt: Option<u32>,
}

/// In a retry's cause: whether the event only waits for its copy in the dead letter topic, and the answer's data.
const COPY: &str = "copy";
const AWAITED: &str = "awaited";
const DATA: &str = "data";

impl Report {
    pub(super) fn failed(reason: Reason, decision: Option<DecisionId>) -> Self {
        let outcome = Outcome::classify::<()>(&Err(Failure::hidden(reason, "")));
        let disposition = Disposition::of(&outcome, None);
        Self {
            disposition,
            status: outcome.status,
            code: outcome.failed(),
            data: Bytes::new(),
            decision,
            attempt: None,
        }
    }

    /// An answer as it came.
    pub(super) fn answered(
        disposition: Disposition,
        status: StatusCode,
        code: Option<&'static str>,
        decision: DecisionId,
    ) -> Self {
        Self { disposition, status, code, data: Bytes::new(), decision: Some(decision), attempt: None }
    }

    /// The attempt that made the event dead, if it is now attempt `present` at keeping its copy.
    pub(super) fn last_attempt(&self, present: u32) -> u32 {
        self.attempt.unwrap_or(present)
    }

    /// How the attempt is remembered when it ends the event without its copy.
    pub(super) fn cause_without_copy(&self, attempt: u32, why: &str) -> Vec<(String, String)> {
        let mut cause = self.cause(attempt);
        cause.push((COPY.to_owned(), format!("not kept: {why}")));
        cause
    }

    /// How the attempt is remembered until the copy is kept.
    pub(super) fn cause_awaiting_copy(&self, attempt: u32) -> Vec<(String, String)> {
        let mut cause = self.cause(attempt);
        let data = &self.data[..self.data.len().min(ERROR_DATA_BYTES)];
        cause.push((DATA.to_owned(), STANDARD.encode(data)));
        cause.push((COPY.to_owned(), AWAITED.to_owned()));
        cause
    }

    /// The last attempt of an event that only waits for its copy.
    pub(super) fn awaiting_copy(last_cause: &[(String, String)]) -> Option<Self> {
        let field = |name: &str| last_cause.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        if field(COPY) != Some(AWAITED) {
            return None;
        }
        let code = field("code").and_then(|code| Reason::ALL.iter().find(|reason| reason.code() == code));
        Some(Self {
            disposition: Disposition::Dead,
            status: field("status").and_then(|status| status.parse().ok()).unwrap_or_default(),
            code: code.map(|reason| reason.code()),
            data: field(DATA).and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default().into(),
            decision: None,
            attempt: field("attempt").and_then(|attempt| attempt.parse().ok()),
        })
    }

    /// How the attempt is remembered with a retry or a death.
    pub(super) fn cause(&self, attempt: u32) -> Vec<(String, String)> {
        let mut cause =
            vec![("status".to_owned(), self.status.as_u16().to_string()), ("attempt".to_owned(), attempt.to_string())];
        // A status that the subscriber itself answered with speaks for itself.
        if let Some(code) = self.code {
            cause.push(("code".to_owned(), code.to_owned()));
        }
        if let Some(decision) = &self.decision {
            cause.push(("decision".to_owned(), decision.to_string()));
        }
        cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_waits_for_its_copy_remembers_why_it_died() {
        let check = |code: Option<&'static str>, data: &'static str| {
            let died = Report {
                disposition: Disposition::Retry { after: None },
                status: StatusCode::BAD_GATEWAY,
                code,
                data: data.into(),
                decision: None,
                attempt: None,
            };
            let again = Report::awaiting_copy(&died.cause_awaiting_copy(3)).expect("waits for its copy");
            assert_eq!((again.status, again.code, again.attempt), (died.status, code, Some(3)));
            assert_eq!(again.data, died.data);
            assert_eq!(again.disposition, Disposition::Dead);
            // Another failed try changes nothing of that.
            let third = Report::awaiting_copy(&again.cause_awaiting_copy(3)).expect("still waits");
            assert_eq!((third.status, third.code, third.attempt), (died.status, code, Some(3)));
        };
        check(Some("FN_TRAP"), "");
        check(None, "no such account");
        let report = Report::failed(Reason::FnTrap, None);
        assert!(Report::awaiting_copy(&report.cause(1)).is_none(), "an ordinary retry is a call");
        assert!(Report::awaiting_copy(&[]).is_none());
    }
}
