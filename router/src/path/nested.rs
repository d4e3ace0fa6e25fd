//! A function's outgoing calls: each becomes a [`Call`] with the function's own identity and goes through the pipeline
//! like any other. The origin, the deadline and the count of hops are those of the call the function is answering.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_runtime::{Body, Outbound, OutboundError, OutboundTimeouts};

use super::Mesh;
use super::call::{Call, Cause, HOPS_MAX, Outside, Reach, Target};
use super::caller::Caller;
use super::identity_fields::strip_head;
use super::outcome::{Failure, Outcome, Reason};
use super::pipeline;
use super::routes::Routed;
use super::snapshot::DeployedFunction;
use super::tokens;

/// The way out of one invocation.
pub struct Nested {
    mesh: Arc<Mesh>,
    function: Arc<DeployedFunction>,
    caller: Caller,
    deadline: Instant,
    hops: u8,
    cause: Option<Arc<Cause>>,
}

impl Nested {
    /// The way out for `function` while it answers `call`.
    pub fn of(mesh: &Arc<Mesh>, function: &Arc<DeployedFunction>, call: &Call) -> Arc<Self> {
        Arc::new(Self {
            mesh: mesh.clone(),
            function: function.clone(),
            caller: Caller::run_here(
                function.identity.clone(),
                call.caller.origin.clone(),
                call.caller.principal.clone(),
            ),
            deadline: call.deadline,
            hops: call.hops.saturating_add(1),
            cause: call.cause.clone(),
        })
    }

    fn route(&self, uri: &http::Uri) -> Routed {
        let host = uri.host().unwrap_or_default().to_ascii_lowercase();
        let Some(routed) = self.mesh.names.within(&host, uri.path()) else {
            return Routed { verb: Verb::Egress, target: self.outside(uri, &host) };
        };
        if self.hops <= HOPS_MAX {
            return routed;
        }
        let reason = if routed.verb == Verb::Publish { Reason::EventLoop } else { Reason::CallCycle };
        let log = format!("{} would be hop {} of at most {HOPS_MAX}", routed.target, self.hops);
        Routed { target: Target::Nowhere(Failure::hidden(reason, log)), ..routed }
    }

    /// A host outside must stand on the function's own list; whether policy allows it too is asked on the path.
    fn outside(&self, uri: &http::Uri, host: &str) -> Target {
        let secure = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>().ok();
        let listed = self.function.resource.spec.allow_hosts.iter().any(|entry| match literal {
            Some(address) => entry.allows_address(address, port),
            None => entry.allows_name(host, port),
        });
        if !listed {
            let log = format!("{host}:{port} is not in allowHosts of function {}", self.function.name);
            return Target::Nowhere(Failure::hidden(Reason::EgressDenied, log));
        }
        let reach = if literal.is_some() { Reach::Anywhere } else { Reach::Public };
        let authority = format!("{host}:{port}").into();
        Target::Outside(Outside { authority, owner_kind: Kind::Function, owner: self.function.name.clone(), reach })
    }
}

#[async_trait]
impl Outbound for Nested {
    async fn send(
        &self,
        mut request: http::Request<Body>,
        timeouts: OutboundTimeouts,
    ) -> Result<http::Response<Body>, OutboundError> {
        let Routed { verb, target } = self.route(request.uri());
        strip_head(request.headers_mut());
        let mut caller = self.caller.clone();
        // A function may bring the token of whom it acts for; it stays the one who calls.
        let admitted = tokens::admit(self.mesh.tokens.as_ref(), &target, request.headers_mut(), &mut caller).await;
        let patience = timeouts.first_byte.map(|timeout| Instant::now() + timeout);
        let call = Call {
            verb,
            target: admitted.map_or_else(Target::Nowhere, |()| target),
            caller,
            request,
            deadline: patience.map_or(self.deadline, |patience| patience.min(self.deadline)),
            hops: self.hops,
            cause: self.cause.clone(),
            events: None,
        };
        let answer = Box::pin(pipeline::handle(&self.mesh, call)).await;
        match verb {
            Verb::Egress => egress_result(answer.outcome, answer.response),
            _ => Ok(answer.response),
        }
    }
}

/// Within the mesh a refusal is an answer; outside it is an error of the guest's own call, as on any other host.
fn egress_result(outcome: Outcome, response: http::Response<Body>) -> Result<http::Response<Body>, OutboundError> {
    let Some(failure) = outcome.failure else { return Ok(response) };
    Err(match failure.reason {
        Reason::EgressDenied => OutboundError::Denied,
        reason if reason.is_policy() => OutboundError::Denied,
        Reason::UpConnect => OutboundError::ConnectionRefused,
        Reason::UpReset => OutboundError::ConnectionTerminated,
        Reason::UpTimeout => OutboundError::Timeout,
        _ => OutboundError::Internal(failure.reason.code().to_owned()),
    })
}
