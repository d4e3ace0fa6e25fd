//! A function's outgoing calls: each becomes a [`Call`] with the function's own identity and goes through the pipeline
//! like any other. The origin, the deadline and the count of hops are those of the call the function is answering.

use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_functions::policy::Verb;
use weft_runtime::{Body, Outbound, OutboundError, OutboundTimeouts};

use super::Mesh;
use super::call::{Call, Cause, Target};
use super::caller::Caller;
use super::identity_fields::{strip_head, strip_trailers};
use super::outcome::{Outcome, Reason};
use super::outgoing::Sender;
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

    fn sender(&self) -> Sender<'_> {
        Sender {
            names: &self.mesh.names,
            function: &self.function.name,
            allow_hosts: &self.function.resource.spec.allow_hosts,
            hops: self.hops,
        }
    }
}

#[async_trait]
impl Outbound for Nested {
    async fn send(
        &self,
        request: http::Request<Body>,
        timeouts: OutboundTimeouts,
    ) -> Result<http::Response<Body>, OutboundError> {
        let (mut head, body) = request.into_parts();
        strip_head(&mut head.headers);
        let Routed { verb, target } = self.sender().route(&mut head);
        let mut caller = self.caller.clone();
        // A function may bring the token of whom it acts for; it stays the one who calls.
        let admitted = tokens::admit(self.mesh.tokens.as_ref(), &target, &mut head.headers, &mut caller).await;
        let patience = timeouts.first_byte.map(|timeout| Instant::now() + timeout);
        let call = Call {
            verb,
            target: admitted.map_or_else(Target::Nowhere, |()| target),
            caller,
            request: http::Request::from_parts(head, with_honest_trailers(body)),
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

/// The body, whose trailers say nothing that only a head may say.
fn with_honest_trailers(body: Body) -> Body {
    let cleaned = body.map_frame(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            strip_trailers(trailers);
        }
        frame
    });
    cleaned.boxed_unsync()
}

/// Within the mesh a refusal is an answer; outside it is an error of the guest's own call, as on any other host.
fn egress_result(outcome: Outcome, response: http::Response<Body>) -> Result<http::Response<Body>, OutboundError> {
    let Some(failure) = outcome.failure else { return Ok(response) };
    Err(match failure.reason {
        reason if reason.is_policy() => OutboundError::Denied,
        Reason::EgressDenied
        | Reason::RequestAmbiguous
        | Reason::RouteMethod
        | Reason::UriTooLong
        | Reason::Unsupported => OutboundError::Denied,
        Reason::LimitEgress => OutboundError::LimitReached,
        Reason::UpConnect => OutboundError::ConnectionRefused,
        Reason::UpReset => OutboundError::ConnectionTerminated,
        Reason::UpTimeout => OutboundError::Timeout,
        _ => OutboundError::Internal(failure.reason.code().to_owned()),
    })
}
