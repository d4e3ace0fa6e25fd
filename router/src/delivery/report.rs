//! What one attempt came to, and how that is remembered: with a retry, with a death, and while a dead letter's copy
//! cannot be kept.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use weft_eventlog::Lease;

use super::dead_letter::ERROR_DATA_BYTES;
use crate::path::attempts::{self, PastAttempt};
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
    /// When it was made, Unix milliseconds; `None` of one that is only remembered.
    pub(super) at_ms: Option<u64>,
    /// Which attempt it was, if not the present one.
    attempt: Option<u32>,
}

/// In a retry's cause: whether the event only waits for its copy in the dead letter topic, the answer's data, and how
/// often the event was put aside because nobody was there.
const COPY: &str = "copy";
const AWAITED: &str = "awaited";
const DATA: &str = "data";
const DEFERRED: &str = "deferred";

/// A cause, as the log keeps it.
type Fields = Vec<(String, String)>;

impl Report {
    pub(super) fn failed(reason: Reason, decision: Option<DecisionId>) -> Self {
        let outcome = Outcome::classify::<()>(&Err(Failure::hidden(reason, "")));
        let disposition = Disposition::of(&outcome, None);
        let (status, code) = (outcome.status, outcome.failed());
        Self { disposition, status, code, data: Bytes::new(), decision, at_ms: None, attempt: None }
    }

    /// An answer as it came.
    pub(super) fn answered(
        disposition: Disposition,
        status: StatusCode,
        code: Option<&'static str>,
        decision: DecisionId,
    ) -> Self {
        let decision = Some(decision);
        Self { disposition, status, code, data: Bytes::new(), decision, at_ms: None, attempt: None }
    }

    /// The same, made at this time.
    pub(super) fn made_at(self, at_ms: u64) -> Self {
        Self { at_ms: Some(at_ms), ..self }
    }

    /// The attempt that made the event dead, if it is now attempt `present` at keeping its copy.
    pub(super) fn last_attempt(&self, present: u32) -> u32 {
        self.attempt.unwrap_or(present)
    }

    /// How often the event was put aside because nobody was there.
    pub(super) fn deferred(lease: &Lease) -> u32 {
        field(&lease.last_cause, DEFERRED).and_then(|times| times.parse().ok()).unwrap_or(0)
    }

    /// How the attempt is remembered with an event that nobody was there for, now for the `times`-th time.
    pub(super) fn cause_deferred(&self, lease: &Lease, times: u32) -> Fields {
        let mut cause = self.cause(lease);
        cause.retain(|(name, _)| name != DEFERRED);
        cause.push((DEFERRED.to_owned(), times.to_string()));
        cause
    }

    /// How the attempt is remembered when it ends the event without its copy.
    pub(super) fn cause_without_copy(&self, lease: &Lease, why: &str) -> Fields {
        let mut cause = self.cause(lease);
        cause.push((COPY.to_owned(), format!("not kept: {why}")));
        cause
    }

    /// How the attempt is remembered until the copy is kept.
    pub(super) fn cause_awaiting_copy(&self, lease: &Lease) -> Fields {
        let mut cause = self.cause(lease);
        let data = &self.data[..self.data.len().min(ERROR_DATA_BYTES)];
        cause.push((DATA.to_owned(), STANDARD.encode(data)));
        cause.push((COPY.to_owned(), AWAITED.to_owned()));
        cause
    }

    /// The last attempt of an event that only waits for its copy.
    pub(super) fn awaiting_copy(last_cause: &[(String, String)]) -> Option<Self> {
        if field(last_cause, COPY) != Some(AWAITED) {
            return None;
        }
        let code = field(last_cause, "code").and_then(Reason::from_code);
        Some(Self {
            disposition: Disposition::Dead,
            status: field(last_cause, "status").and_then(|status| status.parse().ok()).unwrap_or_default(),
            code: code.map(Reason::code),
            data: field(last_cause, DATA).and_then(|data| STANDARD.decode(data).ok()).unwrap_or_default().into(),
            decision: None,
            at_ms: None,
            attempt: field(last_cause, "attempt").and_then(|attempt| attempt.parse().ok()),
        })
    }

    /// How the attempt is remembered with a retry or a death, and what is known of those before.
    pub(super) fn cause(&self, lease: &Lease) -> Fields {
        let attempt = self.last_attempt(lease.attempt);
        let mut cause =
            vec![("status".to_owned(), self.status.as_u16().to_string()), ("attempt".to_owned(), attempt.to_string())];
        // A status that the subscriber itself answered with speaks for itself.
        if let Some(code) = self.code {
            cause.push(("code".to_owned(), code.to_owned()));
        }
        let known = self.attempt.is_some();
        let decision = self.decision.as_ref().map(ToString::to_string);
        let decision =
            decision.or_else(|| field(&lease.last_cause, "decision").filter(|_| known).map(ToOwned::to_owned));
        cause.extend(decision.map(|decision| ("decision".to_owned(), decision)));
        if known {
            // The attempt is the last of those that are remembered already.
            let kept = |name: &&str| field(&lease.last_cause, name).map(|value| ((*name).to_owned(), value.to_owned()));
            cause.extend([attempts::AT, attempts::EARLIER].iter().filter_map(kept));
            return cause;
        }
        if let Some(at_ms) = self.at_ms {
            cause.push((attempts::AT.to_owned(), at_ms.to_string()));
        }
        cause.extend(Self::history(lease));
        if let Some(times) = field(&lease.last_cause, DEFERRED) {
            cause.push((DEFERRED.to_owned(), times.to_owned()));
        }
        cause
    }

    /// The attempts before this lease, as part of a cause.
    pub(super) fn history(lease: &Lease) -> Option<(String, String)> {
        PastAttempt::written(&PastAttempt::all(&lease.last_cause)).map(|all| (attempts::EARLIER.to_owned(), all))
    }
}

fn field<'a>(cause: &'a [(String, String)], name: &str) -> Option<&'a str> {
    cause.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use weft_eventlog::{Record, Sequence};

    use super::*;

    /// The lease of the attempt `attempt`, after one with this cause.
    fn lease(attempt: u32, last_cause: Fields) -> Lease {
        let record = Record {
            sequence: Sequence::FIRST,
            admitted_ms: 0,
            dedupe: None,
            key: None,
            subject: String::new(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        Lease { record, attempt, accepted_ms: 0, first_failure_ms: None, last_cause }
    }

    fn report(status: StatusCode, at_ms: u64) -> Report {
        Report {
            disposition: Disposition::Retry,
            status,
            code: None,
            data: Bytes::new(),
            decision: None,
            at_ms: Some(at_ms),
            attempt: None,
        }
    }

    #[test]
    fn an_event_that_waits_for_its_copy_remembers_why_it_died() {
        let check = |code: Option<&'static str>, data: &'static str| {
            let died = Report { code, data: data.into(), ..report(StatusCode::BAD_GATEWAY, 7) };
            let first = died.cause_awaiting_copy(&lease(3, Vec::new()));
            let again = Report::awaiting_copy(&first).expect("waits for its copy");
            assert_eq!((again.status, again.code, again.attempt), (died.status, code, Some(3)));
            assert_eq!(again.data, died.data);
            assert_eq!(again.disposition, Disposition::Dead);
            // Another failed try changes nothing of that.
            let second = again.cause_awaiting_copy(&lease(3, first.clone()));
            let third = Report::awaiting_copy(&second).expect("still waits");
            assert_eq!((third.status, third.code, third.attempt), (died.status, code, Some(3)));
            assert_eq!(PastAttempt::all(&second), PastAttempt::all(&first), "no attempt was made");
        };
        check(Some("FN_TRAP"), "");
        check(None, "no such account");
        let report = Report::failed(Reason::FnTrap, None);
        assert!(Report::awaiting_copy(&report.cause(&lease(1, Vec::new()))).is_none(), "an ordinary retry is a call");
        assert!(Report::awaiting_copy(&[]).is_none());
    }

    #[test]
    fn attempts_are_remembered_in_their_order() {
        let mut cause = Fields::new();
        for at_ms in 1..=3_u16 {
            cause = report(StatusCode::from_u16(500 + at_ms).expect("a status"), at_ms.into())
                .cause(&lease(at_ms.into(), cause));
        }
        let all: Vec<_> = PastAttempt::all(&cause).iter().map(|past| (past.at_ms, past.status)).collect();
        assert_eq!(all, [(Some(1), Some(501)), (Some(2), Some(502)), (Some(3), Some(503))]);
    }

    #[test]
    fn how_often_nobody_was_there_is_remembered_over_other_failures() {
        let first = report(StatusCode::SERVICE_UNAVAILABLE, 1).cause_deferred(&lease(1, Vec::new()), 1);
        let second = report(StatusCode::INTERNAL_SERVER_ERROR, 2).cause(&lease(1, first));
        assert_eq!(Report::deferred(&lease(2, second.clone())), 1);
        let third = report(StatusCode::SERVICE_UNAVAILABLE, 3).cause_deferred(&lease(2, second), 2);
        assert_eq!(Report::deferred(&lease(2, third)), 2);
    }
}
