//! What the admin API answers when it does not do what it was asked: problem JSON (RFC 9457) with a stable code, or every
//! mistake of the documents.

use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use weft_functions::manifest::Problem;

use super::super::deployments::ApplyError;
use crate::path::outcome::{Failure, Reason};

/// How long a request's body may take. A module of 64 MiB needs a second on any machine's loopback.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Why a request was not done.
#[derive(Debug)]
pub(super) enum Refusal {
    /// One reason.
    Problem { status: StatusCode, code: &'static str, title: &'static str, detail: String },
    /// The documents' mistakes.
    Mistakes(Vec<Problem>),
    /// Policy forbids it. The desk, which has the decision's id, makes the answer.
    Denied(Failure),
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::Problem { status, code, title, detail: detail.into() }
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", "there is no such thing", detail)
    }

    /// A decision or an event that there is none of.
    pub(super) fn unknown(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "there is nothing to explain", detail)
    }

    pub(super) fn method() -> Self {
        let detail = "the Allow header lists the methods of this address";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "METHOD_NOT_ALLOWED",
            "this address does not take this method",
            detail,
        )
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", "the request cannot be read", detail)
    }

    pub(super) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "the admin listener does not take this request", detail)
    }

    /// Why what is named is nowhere, in the words of the path.
    pub(super) fn unroutable(log: String) -> Failure {
        Failure::hidden(Reason::RouteNone, log)
    }

    pub(super) fn conflict(code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", "the node cannot do this now", detail)
    }

    fn too_large(limit: usize) -> Self {
        let detail = format!("at most {limit} bytes are taken");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "the body is larger than allowed", detail)
    }
}

impl From<ApplyError> for Refusal {
    fn from(error: ApplyError) -> Self {
        let detail = error.to_string();
        match error {
            ApplyError::Mistakes(problems) => Self::Mistakes(problems),
            ApplyError::Denied(failure) => Self::Denied(failure),
            ApplyError::Owned(_) => {
                Self::new(StatusCode::CONFLICT, "OWNED", "the watched folder owns this resource", detail)
            }
            ApplyError::InUse(_) => Self::new(StatusCode::CONFLICT, "IN_USE", "other resources name this one", detail),
            ApplyError::NotFound(_) => Self::not_found(detail),
            ApplyError::Unavailable(_) => Self::unavailable(detail),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Problem { status, code, title, detail } => {
                let body = json!({
                    "type": "about:blank",
                    "title": title,
                    "status": status.as_u16(),
                    "code": code,
                    "detail": detail,
                });
                answer(status, "application/problem+json", &body)
            }
            Self::Denied(failure) => failure.reason.status().into_response(),
            Self::Mistakes(problems) => {
                let errors: Vec<Value> = problems.iter().map(mistake).collect();
                answer(StatusCode::UNPROCESSABLE_ENTITY, "application/json", &json!({ "errors": errors }))
            }
        }
    }
}

fn mistake(problem: &Problem) -> Value {
    let mut value = serde_json::to_value(problem).unwrap_or_default();
    value["rendered"] = problem.render(false).into();
    value
}

fn answer(status: StatusCode, content_type: &'static str, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Reads a request's body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    match tokio::time::timeout(BODY_TIME, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(limit)),
        Ok(Err(error)) => Err(Refusal::bad_request(format!("the body ended early: {error}"))),
        Err(_) => {
            let detail = format!("it was not here after {} seconds", BODY_TIME.as_secs());
            Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", "the body came too slowly", detail))
        }
    }
}
