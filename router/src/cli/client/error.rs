//! What can go wrong between the command line and a node, each with what to do about it.
//!
//! Separate because these sentences are what people see most when something is wrong: they are read, and tested, as a
//! list.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{API_VERSION, Address};

/// A question that got no good answer.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum ClientError {
    /// Nobody listens there.
    #[error("cannot reach the node at {address}: {cause}; start one with 'weft dev', or name another with --admin")]
    Unreachable { address: Address, cause: String },
    /// The node listens for administrators, but not for callers where it says.
    #[error("cannot reach the node's data address {address}, which the admin API at {admin} names: {cause}")]
    DataUnreachable { address: Address, admin: Address, cause: String },
    /// The connection ended before the answer did.
    #[error("the node at {address} hung up before its answer was whole ({cause}); see its log, then try again")]
    Interrupted { address: Address, cause: String },
    /// The node thought too long.
    #[error("the node at {address} did not answer within {} s; see its log, then try again", patience.as_secs())]
    TimedOut { address: Address, patience: Duration },
    /// The answer is larger than we read.
    #[error("the answer of the node at {address} is larger than {limit} bytes, which is more than weft reads")]
    TooLarge { address: Address, limit: usize },
    /// Something answers, but it is no admin API.
    #[error(
        "{address} answers, but not as the admin API of a node; check --admin and WEFT_ADMIN ('weft dev' prints the right address)"
    )]
    NotANode { address: Address },
    /// A node of another age.
    #[error(
        "the node at {address} speaks version {version} of the admin API, this weft speaks {API_VERSION}; use the weft of the node's version"
    )]
    OtherVersion { address: Address, version: String },
    /// A node that says what we do not understand.
    #[error("the node at {address} answered {what}; use the weft of the node's version, and see its log")]
    Unreadable { address: Address, what: String },
    /// The question could not be put.
    #[error("cannot ask the node: {0}")]
    Unasked(String),
    /// The node said no, and why.
    #[error("{0}")]
    Refused(Problem),
    /// The manifests have mistakes; each is an object with `rendered`.
    #[error("the manifests have mistakes")]
    Mistakes(Vec<Value>),
}

/// A problem document (RFC 9457) of the mesh: it has a `code`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(in crate::cli) struct Problem {
    /// The stable reason, such as `AUTHZ_DENIED`.
    pub(in crate::cli) code: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: Option<String>,
    /// What an operator resolves to the whole reason.
    #[serde(default)]
    decision: Option<String>,
}

impl Problem {
    /// The problem in a body, if it is one of the mesh.
    pub(in crate::cli) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// Whether it is the mesh's own answer to the call that was decided so. A function may answer with a document that
    /// looks the same, but it does not know the decision.
    pub(in crate::cli) fn is_of(&self, decision: Option<&str>) -> bool {
        self.decision.is_some() && self.decision.as_deref() == decision
    }

    /// The next step for a person who met this code. The admin API's own refusals say it in their detail.
    fn advice(&self) -> Option<&'static str> {
        Some(match self.code.as_str() {
            "NOT_FOUND" | "ROUTE_NONE" => "see what there is with 'weft get all'",
            "ROUTE_METHOD" => "name another method with -X",
            "AUTHZ_DENIED" => "see why with 'weft explain' and the decision's id",
            "AUTHN_MISSING" | "AUTHN_INVALID" | "AUTHN_EXPIRED" => "call with a valid identity",
            "FN_TRAP" | "FN_BAD_RESPONSE" => "the function failed; the node's log has what it wrote",
            "FN_TIMEOUT" => "make the function answer sooner, or raise its limits.timeout",
            "FN_CPU" => "make the function do less, or raise its limits.cpu",
            "FN_MEMORY" => "make the function use less, or raise its limits.memory",
            "LIMIT_QUEUE" | "LIMIT_RATE" => "try again later, or raise the function's scale.max or scale.queue",
            "COLD_TIMEOUT" | "DRAINING" => "try again",
            "COLD_LOAD_FAILED" => "deploy the function again; the node's log says why it does not load",
            "TOPIC_FULL" => "see who is behind with 'weft get triggers', or raise the topic's retention.size",
            "EVENT_CONFLICT" => "the topic has another event of this source and id: give this one an id of its own",
            "EVENT_TOO_LARGE" => "send less data, or a reference to it",
            _ => return None,
        })
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = match (self.title.trim(), self.detail.as_deref().map(str::trim)) {
            ("", None | Some("")) => "the mesh said no",
            (title, None | Some("")) => title,
            (_, Some(detail)) => detail,
        };
        write!(f, "{} ({}", super::super::terminal::harmless(said), super::super::terminal::harmless(&self.code))?;
        if let Some(decision) = &self.decision {
            write!(f, ", decision {}", super::super::terminal::harmless(decision))?;
        }
        f.write_str(")")?;
        self.advice().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_said_with_its_code_decision_and_next_step() {
        let check = |body: &str, expect: &str| assert_eq!(Problem::read(body.as_bytes()).unwrap().to_string(), expect);
        check(
            r#"{"type":"about:blank","title":"not found","status":404,"code":"NOT_FOUND","detail":"no function default/x"}"#,
            "no function default/x (NOT_FOUND); see what there is with 'weft get all'",
        );
        check(
            r#"{"title":"forbidden","status":403,"code":"AUTHZ_DENIED","decision":"d-7f"}"#,
            "forbidden (AUTHZ_DENIED, decision d-7f); see why with 'weft explain' and the decision's id",
        );
        check(r#"{"code":"NEW"}"#, "the mesh said no (NEW)");
        check(r#"{"code":"NEW","title":"red \u001b[31m"}"#, "red \\u{1b}[31m (NEW)");
    }

    #[test]
    fn only_a_document_with_a_code_is_a_problem_of_the_mesh() {
        for body in ["", "no json", "[]", r#"{"title":"my own"}"#, r#"{"code":7}"#] {
            assert_eq!(Problem::read(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn an_unreachable_node_is_answered_with_the_next_step() {
        let address: Address = "http://127.0.0.1:8081".parse().unwrap();
        let error = ClientError::Unreachable { address, cause: "connection refused".into() };
        assert_eq!(
            error.to_string(),
            "cannot reach the node at http://127.0.0.1:8081: connection refused; start one with 'weft dev', or name another with --admin"
        );
    }
}
