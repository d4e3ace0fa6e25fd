//! What a trigger asks about its own rights before it delivers: whether it may (still) read its topic, and whether it may
//! leave the mesh. Separate from the delivery itself, which is the publisher's call: here it is the trigger that asks, for
//! whoever published the event. Nothing is opened by it; each answer is recorded like any other.

use tokio::time::Instant;
use weft_functions::policy::Verb;
use weft_runtime::{Body, empty};

use super::attempt::Attempt;
use super::report::Report;
use super::sending::{Aimed, read};
use crate::path::call::{Call, Cause, Target};
use crate::path::caller::Caller;
use crate::path::outcome::{Disposition, Failure};

impl Attempt<'_> {
    /// The trigger, acting on the event for whoever published it.
    pub(super) fn trigger_itself(&self) -> Caller {
        Caller::acting_for(self.trigger.identity.clone(), &self.envelope.caller)
    }

    /// May the trigger (still) read its topic? Asked of each event, because its origin has a say.
    pub(super) async fn may_consume(&self) -> Result<(), Report> {
        let target = Target::Subscription(self.trigger.topic.clone());
        self.ask(Verb::Consume, target, http::Request::new(empty())).await
    }

    /// May the trigger leave the mesh with this? A publisher may reach through it what it may not reach itself, so
    /// somebody must have allowed the trigger to.
    pub(super) async fn may_leave(&self, (target, head): Aimed) -> Result<(), Report> {
        self.ask(Verb::Egress, target, head).await
    }

    async fn ask(&self, verb: Verb, target: Target, request: http::Request<Body>) -> Result<(), Report> {
        let at_ms = self.parts.clock.now_ms();
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let call = Call {
            verb,
            target,
            caller: self.trigger_itself(),
            request,
            deadline,
            hops: self.envelope.hops,
            cause: Some(self.cause(Cause::subscriber)),
            events: None,
        };
        let answer = self.parts.calls.ask(call).await;
        match Disposition::of(&answer.outcome, None) {
            Disposition::Ack => Ok(()),
            refused => {
                let (head, body) = answer.response.into_parts();
                let mut report = Report::answered(refused, head.status, answer.outcome.failed(), answer.decision);
                report.data = read(body, deadline).await.unwrap_or_default();
                Err(report.made_at(at_ms))
            }
        }
    }
}

/// What leaves the mesh of what was made for the destination: where to, and its head. `None` for what stays.
pub(super) fn leaving(made: &Result<Aimed, Failure>) -> Option<Aimed> {
    // An address that is none is refused when it is called.
    let (target @ Target::Outside(_), request) = made.as_ref().ok()? else { return None };
    let mut head = http::Request::new(empty());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.headers_mut() = request.headers().clone();
    Some((target.clone(), head))
}
