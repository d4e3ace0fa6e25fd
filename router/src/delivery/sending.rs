//! An event on its way: the call that carries it, what the answer comes to, and what else is published on its behalf. The
//! pipeline decides and classifies; `attempt` decides what follows.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;
use weft_eventlog::Sequence;
use weft_functions::event::http as binding;
use weft_functions::event::{Event, EventLimits};
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;
use weft_runtime::{Body, empty, full};

use super::attempt::Attempt;
use super::handshake::{Consent, REQUEST_ORIGIN};
use super::report::Report;
use super::{reply, retry};
use crate::path::call::{Call, Cause, Outside, Reach, Target};
use crate::path::caller::Caller;
use crate::path::outcome::{Disposition, Failure, Reason};
use crate::path::record::Answer;
use crate::path::{identity_fields, routes};

/// A request, and what it is aimed at.
pub(super) type Aimed = (Target, http::Request<Body>);

impl Attempt<'_> {
    /// Calls the destination once, with what [`Self::request`] made.
    pub(super) async fn deliver(&self, made: Result<Aimed, Failure>) -> Report {
        let at_ms = self.parts.clock.now_ms();
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let (target, request) = match made {
            Ok(aimed) => aimed,
            Err(failure) => (Target::Nowhere(failure), http::Request::new(full(""))),
        };
        let cause = self.cause(Cause::subscriber);
        let call = Call {
            verb: Verb::Deliver,
            target,
            caller: self.publisher(),
            request,
            deadline,
            hops: self.envelope.hops,
            cause: Some(cause.clone()),
            events: Some(vec![self.event.clone()]),
        };
        let answer = self.parts.calls.handle(call).await;
        let after = retry::retry_after(answer.response.headers(), self.parts.clock.now_ms() / 1000);
        let disposition = Disposition::of(&answer.outcome, after);
        let (head, body) = answer.response.into_parts();
        let data = read(body, deadline).await;
        let mut report = Report::answered(disposition, head.status, answer.outcome.failed(), answer.decision);
        report.at_ms = Some(at_ms);
        report.data = data.as_ref().ok().cloned().unwrap_or_default();
        // What is no event is dropped, however it ended: the 2xx was read.
        if disposition != Disposition::Ack || binding::mode(&head.headers).is_none() {
            return report;
        }
        let published = match data {
            Ok(data) => reply::publish(self, &cause, &head.headers, data).await,
            Err(reason) => Err(Report::failed(reason, None)),
        };
        match published {
            Ok(()) => report,
            Err(mut failed) => {
                failed.at_ms = report.at_ms;
                failed.decision = failed.decision.or(report.decision);
                failed.data = report.data;
                failed
            }
        }
    }

    /// Asks an address outside whether it takes our events; the report of a question that came to nothing.
    pub(super) async fn ask_consent(&self, url: &Uri) -> Result<Consent, Report> {
        let at_ms = self.parts.clock.now_ms();
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let aimed = self.outside(url).and_then(|outside| Ok((aimed(url, &outside)?, Target::Outside(outside))));
        let mut request = http::Request::new(empty());
        let target = match aimed {
            Ok((uri, target)) => {
                *request.uri_mut() = uri;
                target
            }
            Err(failure) => Target::Nowhere(failure),
        };
        *request.method_mut() = Method::OPTIONS;
        let origin = &*self.parts.mesh.names.domain;
        if let Ok(origin) = HeaderValue::from_str(origin) {
            request.headers_mut().insert(REQUEST_ORIGIN, origin);
        }
        let caller = self.publisher();
        let events = Some(vec![self.event.clone()]);
        let hops = self.envelope.hops;
        let call = Call { verb: Verb::Deliver, target, caller, request, deadline, hops, cause: None, events };
        let answer = self.parts.calls.handle(call).await;
        let consent = match &answer.outcome.failure {
            None => Consent::of(answer.outcome.status, answer.response.headers(), origin),
            Some(_) => None,
        };
        consent.ok_or_else(|| {
            let after = retry::retry_after(answer.response.headers(), at_ms / 1000);
            let disposition = match Disposition::of(&answer.outcome, after) {
                deny @ Disposition::Deny => deny,
                unavailable @ Disposition::Unavailable { .. } => unavailable,
                _ => Disposition::Unavailable { after },
            };
            Report::answered(disposition, answer.outcome.status, answer.outcome.failed(), answer.decision)
                .made_at(at_ms)
        })
    }

    /// The publisher, who delivers through the trigger.
    fn publisher(&self) -> Caller {
        Caller { via: Some(self.trigger.identity.clone().into()), ..self.envelope.caller.clone() }
    }

    /// What is published on this attempt's behalf, for its dedupe ids.
    pub(super) fn cause<C>(&self, make: impl FnOnce(Namespaced, Sequence, Namespaced) -> C) -> C {
        make(self.trigger.topic.clone(), self.source, self.trigger.name.clone())
    }

    /// Publishes an event on the delivery's behalf, by the same path as everybody.
    pub(super) async fn publish(
        &self,
        topic: &Namespaced,
        caller: Caller,
        event: &Event,
        hops: u8,
        cause: Arc<Cause>,
    ) -> Answer {
        let (headers, data) = binding::encode_binary(event);
        let mut request = http::Request::new(full(data));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        *request.uri_mut() = format!("/{topic}").parse().unwrap_or_default();
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let target = Target::Topic(topic.clone());
        let call =
            Call { verb: Verb::Publish, target, caller, request, deadline, hops, cause: Some(cause), events: None };
        self.parts.calls.handle(call).await
    }

    /// The request that carries the event, and what it is aimed at.
    pub(super) fn request(&self) -> Result<Aimed, Failure> {
        let (headers, data) = binding::encode_binary(&self.event);
        let mut request = http::Request::new(full(data));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        let (target, uri) = match &self.trigger.resource.spec.destination {
            Destination::Function { function, path } => {
                let uri = format!("http://{}{path}", routes::internal_host(function)).parse();
                let uri: Uri = uri.map_err(|_| Failure::hidden(Reason::Internal, "the trigger's path is not one"))?;
                (Target::Function(function.clone()), uri)
            }
            Destination::Url(url) => {
                let outside = self.outside(url)?;
                let uri = aimed(url, &outside)?;
                if self.trigger.resource.spec.pass_identity {
                    identity_fields::assert(request.headers_mut(), &self.publisher());
                }
                (Target::Outside(outside), uri)
            }
        };
        if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        *request.uri_mut() = uri;
        Ok((target, request))
    }

    fn outside(&self, url: &Uri) -> Result<Outside, Failure> {
        let reach = if self.parts.reach_loopback { Reach::Loopback } else { Reach::Public };
        Outside::of_trigger(&self.trigger.name, url, reach)
    }
}

/// The url, with the host in its one spelling.
fn aimed(url: &Uri, outside: &Outside) -> Result<Uri, Failure> {
    let mut parts = url.clone().into_parts();
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", outside.host),
        None => outside.host.to_string(),
    };
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).map_err(|_| Failure::hidden(Reason::Internal, "the trigger's url is not one"))
}

/// The answer's body, as far as delivery has use for it: a reply event, or the words of an error.
pub(super) async fn read(body: Body, deadline: Instant) -> Result<Bytes, Reason> {
    let body = Limited::new(body, EventLimits::default().event_bytes);
    match tokio::time::timeout_at(deadline, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reason::FnBadResponse),
        Err(_) => Err(Reason::FnTimeout),
    }
}
