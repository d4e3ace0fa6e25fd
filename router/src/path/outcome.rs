//! One classification, three renderings. Whatever ends a call has a reason here, once; the table says which HTTP status
//! a caller reads, what delivery does with the event, and whether trying again can help. Nothing else decides these.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use weft_runtime::{Body, BodyError, BodyErrorKind, InvokeError, full};

use super::decision::DecisionId;

macro_rules! reasons {
    ($($variant:ident $code:literal $status:literal $verdict:ident $title:literal;)*) => {
        /// Why a call ended as it did. The codes are stable: callers, dashboards and `explain` rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = $title] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the README's table.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The exact code, for operators: metrics, logs, explain.
            pub fn code(self) -> &'static str { match self { $(Reason::$variant => $code,)* } }

            /// The HTTP status a caller reads.
            pub fn status(self) -> StatusCode {
                let status: u16 = match self { $(Reason::$variant => $status,)* };
                StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }

            /// The verdict label that goes with it.
            pub fn verdict(self) -> Verdict { match self { $(Reason::$variant => Verdict::$verdict,)* } }

            /// One sentence for people.
            pub fn title(self) -> &'static str { match self { $(Reason::$variant => $title,)* } }
        }
    };
}

// 503 only when retrying can help; never for policy, never for a function's bug.
reasons! {
    RequestAmbiguous "REQUEST_AMBIGUOUS" 400 Deny "the request can be read in more than one way";
    RequestBroken "REQUEST_BROKEN" 400 Deny "the request's body broke off or is malformed";
    HeadTooLarge "HEAD_TOO_LARGE" 431 Deny "the request's headers are larger than allowed";
    RequestTooSlow "REQUEST_TOO_SLOW" 408 Deny "the request's body came too slowly";
    RequestTooLarge "REQUEST_TOO_LARGE" 413 Deny "the request's body is larger than allowed";
    UriTooLong "URI_TOO_LONG" 414 Deny "the request's target is longer than allowed";
    Misdirected "REQUEST_MISDIRECTED" 421 Deny "the request is for another host than its connection";
    Unsupported "UNSUPPORTED" 501 Deny "the mesh does not do this";
    AuthnInvalid "AUTHN_INVALID" 401 Deny "the token is not one that counts here";
    AuthnExpired "AUTHN_EXPIRED" 401 Deny "the token has expired";
    AuthnUnavailable "AUTHN_UNAVAILABLE" 503 Unavailable "the token cannot be verified now";
    RouteNone "ROUTE_NONE" 404 NoRoute "nothing answers at this address";
    RouteMethod "ROUTE_METHOD" 405 NoRoute "this address does not take this method";
    AuthzDenyRule "AUTHZ_DENY_RULE" 403 Deny "a policy forbids this call";
    AuthzNoAllow "AUTHZ_NO_ALLOW" 403 Deny "no policy allows this call";
    AuthzRevoked "AUTHZ_REVOKED" 403 Deny "the caller's credentials were revoked during the call";
    EventInvalid "EVENT_INVALID" 400 Deny "this is not a valid CloudEvent";
    EventTooLarge "EVENT_TOO_LARGE" 413 Deny "the event is larger than allowed";
    EventLoop "EVENT_LOOP" 400 Deny "the chain of events is longer than allowed";
    EventConflict "EVENT_CONFLICT" 409 Deny "another event with this source and id was accepted before";
    TopicFull "TOPIC_FULL" 429 Throttled "the topic keeps no more until its triggers have caught up";
    LogUnavailable "LOG_UNAVAILABLE" 503 Unavailable "the event could not be kept; it may be sent again under the same id";
    LimitRate "LIMIT_RATE" 429 Throttled "the namespace has used up a quota for now";
    LimitQueue "LIMIT_QUEUE" 503 Throttled "too many calls wait for this function";
    CallCycle "CALL_CYCLE" 429 Throttled "the chain of calls is longer than allowed";
    ColdTimeout "COLD_TIMEOUT" 503 Unavailable "the function was not ready in time";
    ColdLoadFailed "COLD_LOAD_FAILED" 502 Unavailable "the function could not be loaded";
    FnTrap "FN_TRAP" 502 Allow "the function trapped";
    FnCpu "FN_CPU" 504 Allow "the function used more CPU time than allowed";
    FnTimeout "FN_TIMEOUT" 504 Allow "the function did not answer in time";
    FnMemory "FN_MEMORY" 502 Allow "the function needed more memory than allowed";
    FnBadResponse "FN_BAD_RESPONSE" 502 Allow "the function's answer is not one";
    EnvelopeUnproven "ENVELOPE_UNPROVEN" 403 Deny "nothing proves who published this event";
    EgressDenied "EGRESS_DENIED" 403 Deny "this call may not leave the mesh";
    LimitEgress "LIMIT_EGRESS" 503 Throttled "too many calls of this namespace are on their way out";
    UpConnect "UP_CONNECT" 502 Unavailable "the address outside could not be reached";
    UpReset "UP_RESET_AFTER" 502 Unavailable "the address outside broke the exchange off";
    UpTimeout "UP_TIMEOUT" 504 Unavailable "the address outside did not answer in time";
    UpNoConsent "UP_NO_CONSENT" 502 Unavailable "the address outside takes no events from here";
    CallerGone "CALLER_GONE" 499 Allow "the caller left before the answer";
    Draining "DRAINING" 503 Unavailable "the node is shutting down";
    Internal "INTERNAL" 500 Unavailable "the mesh failed";
}

/// What was decided, in the words of the explain contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are the contract's own")]
pub enum Verdict {
    Allow,
    Deny,
    NoRoute,
    Throttled,
    Unavailable,
}

impl Verdict {
    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Deny => "deny",
            Verdict::NoRoute => "no_route",
            Verdict::Throttled => "throttled",
            Verdict::Unavailable => "unavailable",
        }
    }
}

impl Reason {
    /// The reason with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }

    /// The code a caller learns: every refusal by policy looks alike from outside.
    pub fn outside_code(self) -> &'static str {
        if self.is_policy() { "AUTHZ_DENIED" } else { self.code() }
    }

    /// Whether it is a refusal by policy.
    pub fn is_policy(self) -> bool {
        matches!(self, Reason::AuthzDenyRule | Reason::AuthzNoAllow | Reason::AuthzRevoked)
    }

    /// How long a caller should wait before it tries again, where trying again can help.
    fn retry_after(self) -> Option<Duration> {
        match self.verdict() {
            Verdict::Throttled => Some(Duration::from_secs(1)),
            Verdict::Unavailable if self.status() == StatusCode::SERVICE_UNAVAILABLE => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// What delivery does with an event whose delivery ended so. See [`Disposition::of_status`] for answers that came.
    fn disposition(self) -> Disposition {
        match self {
            reason if reason.is_policy() => Disposition::Deny,
            Reason::EgressDenied | Reason::EnvelopeUnproven => Disposition::Deny,
            Reason::EventLoop | Reason::CallCycle | Reason::AuthnInvalid | Reason::AuthnExpired => Disposition::Dead,
            Reason::UpConnect | Reason::UpTimeout | Reason::UpNoConsent | Reason::FnTimeout => {
                Disposition::Unavailable { after: None }
            }
            reason if matches!(reason.status().as_u16(), 429 | 503) => Disposition::Unavailable { after: None },
            _ => Disposition::Retry,
        }
    }
}

/// A call that the mesh itself ends. What the caller may read and what operators read are two fields.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The reason, which fixes status, verdict and disposition.
    pub reason: Reason,
    /// A sentence for the caller, beside the reason's title. Never names policies, hosts or functions the caller did not name.
    pub outside: Option<Cow<'static, str>>,
    /// What happened, for the log.
    pub log: Cow<'static, str>,
    /// Methods to list in `Allow` (405 only).
    pub allow: Option<&'static str>,
    /// How long a caller should wait before it tries again, where that is known better than the reason knows it.
    pub after: Option<Duration>,
}

impl Failure {
    /// A failure whose details are for operators only.
    pub fn hidden(reason: Reason, log: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, outside: None, log: log.into(), allow: None, after: None }
    }

    /// The same failure, which is over after `wait`.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { after: Some(wait), ..self }
    }

    /// A failure whose details help the caller to mend its request.
    pub fn open(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        let detail = detail.into();
        Self { reason, outside: Some(detail.clone()), log: detail, allow: None, after: None }
    }

    /// 405 with the methods that would do.
    pub fn method(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::open(Reason::RouteMethod, format!("allowed here: {allow}")) }
    }

    /// The answer as problem JSON (RFC 9457).
    pub fn render(&self, decision: &DecisionId) -> http::Response<Body> {
        let problem = Problem {
            kind: "about:blank",
            title: self.reason.title(),
            status: self.reason.status().as_u16(),
            code: self.reason.outside_code(),
            detail: self.outside.as_deref(),
            decision: &decision.to_string(),
        };
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = http::Response::new(full(body));
        *response.status_mut() = self.reason.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.after.or_else(|| self.reason.retry_after()) {
            // Whole seconds, and never too early.
            headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs_f64().ceil() as u64));
        }
        if self.reason.status() == StatusCode::UNAUTHORIZED {
            // RFC 6750, section 3.1: an expired token is an invalid one, too.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

/// RFC 9457, with the two members of ours.
#[derive(serde::Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    decision: &'a str,
}

impl From<&BodyError> for Failure {
    /// A request's body that could not be read to its end.
    fn from(error: &BodyError) -> Self {
        let reason = match error.kind {
            BodyErrorKind::TooLarge => Reason::RequestTooLarge,
            BodyErrorKind::TimedOut => Reason::RequestTooSlow,
            BodyErrorKind::Aborted | BodyErrorKind::Guest => Reason::RequestBroken,
        };
        Self::open(reason, error.message.clone())
    }
}

impl From<InvokeError> for Failure {
    fn from(error: InvokeError) -> Self {
        let reason = match &error {
            InvokeError::Trap(_) => Reason::FnTrap,
            InvokeError::Cpu => Reason::FnCpu,
            InvokeError::Timeout => Reason::FnTimeout,
            InvokeError::Memory => Reason::FnMemory,
            InvokeError::BadResponse(_) => Reason::FnBadResponse,
            InvokeError::QueueFull => Reason::LimitQueue,
            InvokeError::QueueTimeout => Reason::ColdTimeout,
            InvokeError::LoadFailed(_) => Reason::ColdLoadFailed,
            InvokeError::BadRequest(_) => Reason::RequestAmbiguous,
            InvokeError::Cancelled | InvokeError::Draining | InvokeError::Retired => Reason::Draining,
        };
        Self::hidden(reason, error.to_string())
    }
}

/// How a call ended: what the record, the log and delivery read.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The status that was answered.
    pub status: StatusCode,
    /// Set when the mesh ended the call; `None` when the target's own answer was passed on.
    pub failure: Option<Failure>,
}

impl Outcome {
    /// Classifies what a target gave: its own answer, or why there is none.
    pub fn classify<B>(result: &Result<http::Response<B>, Failure>) -> Self {
        match result {
            Ok(response) => Self { status: response.status(), failure: None },
            Err(failure) => Self { status: failure.reason.status(), failure: Some(failure.clone()) },
        }
    }

    /// The `code` label: the reason's code, or `OK`.
    pub fn code(&self) -> &'static str {
        self.failed().unwrap_or("OK")
    }

    /// The reason's code, if the mesh ended the call.
    pub fn failed(&self) -> Option<&'static str> {
        self.failure.as_ref().map(|failure| failure.reason.code())
    }

    /// The `verdict` label.
    pub fn verdict(&self) -> Verdict {
        self.failure.as_ref().map_or(Verdict::Allow, |failure| failure.reason.verdict())
    }
}

/// What delivery does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// It was taken: settle it as delivered.
    Ack,
    /// The subscriber failed on it: try again by the trigger's schedule, `retry` times.
    Retry,
    /// The subscriber was not there, or has no room: pause the trigger and try again, without counting it.
    Unavailable {
        /// The subscriber's Retry-After, if it gave one.
        after: Option<Duration>,
    },
    /// Trying again cannot help: dead-letter it.
    Dead,
    /// Policy forbids it: settle it as denied.
    Deny,
}

impl Disposition {
    /// What delivery does with an event whose delivery ended in `outcome`.
    pub fn of(outcome: &Outcome, retry_after: Option<Duration>) -> Self {
        match &outcome.failure {
            Some(failure) => match (failure.reason.disposition(), failure.after) {
                (Disposition::Unavailable { after: None }, after) => Disposition::Unavailable { after },
                (other, _) => other,
            },
            None => Self::of_status(outcome.status, retry_after),
        }
    }

    /// Knative's table of response codes (eventing data plane, "Event Reply Status Codes"): 2xx is taken; 404, 408,
    /// 409, 429 and 5xx are tried again; everything else is not. 429 and 503 say that the subscriber takes nothing at
    /// present; Retry-After counts on these only.
    pub fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Self {
        match status.as_u16() {
            200..=299 => Self::Ack,
            429 | 503 => Self::Unavailable { after: retry_after },
            404 | 408 | 409 | 500..=599 => Self::Retry,
            _ => Self::Dead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_response_codes_is_knatives() {
        let check = |status: u16, expect: Disposition| {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Disposition::of_status(status, None), expect, "{status}");
        };
        for status in [200, 201, 202, 204, 299] {
            check(status, Disposition::Ack);
        }
        for status in [404, 408, 409, 500, 502, 504, 599] {
            check(status, Disposition::Retry);
        }
        for status in [429, 503] {
            check(status, Disposition::Unavailable { after: None });
        }
        for status in [100, 300, 301, 307, 308, 400, 401, 403, 405, 410, 413, 415, 422, 451, 499] {
            check(status, Disposition::Dead);
        }
    }

    #[test]
    fn retry_after_counts_on_429_and_503_only() {
        let after = Some(Duration::from_secs(7));
        for (status, expect) in [
            (429, Disposition::Unavailable { after }),
            (503, Disposition::Unavailable { after }),
            (500, Disposition::Retry),
            (404, Disposition::Retry),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(Disposition::of_status(status, after), expect, "{status}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_fails() {
        let check = |reason: Reason, expect: Disposition| {
            let outcome = Outcome::classify::<()>(&Err(Failure::hidden(reason, "")));
            assert_eq!(Disposition::of(&outcome, None), expect, "{}", reason.code());
        };
        let unavailable = Disposition::Unavailable { after: None };
        for reason in [Reason::UpConnect, Reason::UpTimeout, Reason::FnTimeout, Reason::ColdTimeout, Reason::LimitQueue]
        {
            check(reason, unavailable);
        }
        for reason in [Reason::TopicFull, Reason::LimitRate, Reason::LogUnavailable, Reason::Draining] {
            check(reason, unavailable);
        }
        for reason in [Reason::FnTrap, Reason::FnCpu, Reason::FnMemory, Reason::FnBadResponse, Reason::UpReset] {
            check(reason, Disposition::Retry);
        }
        for reason in [Reason::EventLoop, Reason::CallCycle] {
            check(reason, Disposition::Dead);
        }
        for reason in [Reason::AuthzDenyRule, Reason::AuthzNoAllow, Reason::EgressDenied, Reason::EnvelopeUnproven] {
            check(reason, Disposition::Deny);
        }
    }

    #[test]
    fn codes_are_unique_and_503_is_only_for_what_passes() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Reason::ALL.len());
        for reason in Reason::ALL.iter().filter(|reason| reason.status() == 503) {
            assert!(matches!(reason.verdict(), Verdict::Throttled | Verdict::Unavailable), "{}", reason.code());
            assert!(reason.retry_after().is_some(), "{}", reason.code());
        }
    }

    #[test]
    fn every_refusal_by_policy_looks_alike_from_outside() {
        let policy: Vec<_> = Reason::ALL.iter().filter(|reason| reason.is_policy()).collect();
        assert_eq!(policy.len(), 3);
        assert!(policy.iter().all(|reason| reason.outside_code() == "AUTHZ_DENIED" && reason.status() == 403));
    }
}
