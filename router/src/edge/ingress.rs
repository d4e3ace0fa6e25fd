//! A request becomes a call: made canonical, attributed to its caller, routed by name, and handed to the pipeline. What
//! cannot be routed goes there too, so that it is recorded and answered like any other refusal.

use std::error::Error as StdError;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::uri::Scheme;
use http::{Request, Response};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::Instant;
use weft_functions::policy::Verb;
use weft_runtime::{Body, BodyError, BodyErrorKind, empty};

use super::Ambiguous;
use super::body::{BodyFault, BodyLimits, RequestBody};
use super::identity::{Authenticate, Credentials};
use super::listener::Handler;
use super::session::Peer;
use crate::path::Mesh;
use crate::path::call::{Call, Target};
use crate::path::caller::Caller;
use crate::path::canonical::{Canonical, canonicalise};
use crate::path::identity_fields::strip_head;
use crate::path::outcome::{Failure, Reason};
use crate::path::routes::{Names, Routed};
use crate::path::{pipeline, tokens};

/// How long a caller waits for the first byte of an answer before the mesh gives up. A function's own `limits.timeout`
/// is shorter by default.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The handler behind a listener.
pub struct Ingress<A> {
    mesh: Arc<Mesh>,
    authenticate: A,
    limits: BodyLimits,
}

impl<A: Authenticate> Ingress<A> {
    /// Requests that enter `mesh` as whom `authenticate` says they come from.
    pub fn new(mesh: Arc<Mesh>, authenticate: A) -> Self {
        Self { mesh, authenticate, limits: BodyLimits::default() }
    }

    async fn call<B>(&self, request: Request<B>, peer: &Peer) -> Box<Call>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        let mut caller = match self.authenticate.authenticate(Credentials { peer, head: &head }) {
            Ok(caller) => caller,
            Err(failure) => return nowhere(Caller::nobody(), head, failure),
        };
        let (canonical, routed) = match aim(&self.mesh.names, &head) {
            Ok(aimed) => aimed,
            Err(failure) => return nowhere(caller, head, failure),
        };
        if !peer.called.is(&canonical.host) {
            return nowhere(caller, head, misdirected(&canonical.host));
        }
        let body = match RequestBody::new(body, self.limits) {
            Ok(body) => body.map_err(body_error).boxed_unsync(),
            Err(fault) => return nowhere(caller, head, Failure::open(Reason::RequestTooLarge, fault.to_string())),
        };
        let Routed { verb, target } = routed;
        let admitted = tokens::admit(self.mesh.tokens.as_ref(), &target, &mut head.headers, &mut caller).await;
        Box::new(Call {
            verb,
            target: admitted.map_or_else(Target::Nowhere, |()| target),
            caller,
            request: Request::from_parts(forwarded(head, &canonical), body),
            deadline: Instant::now() + ANSWER_TIMEOUT,
            hops: 0,
            cause: None,
            events: None,
        })
    }
}

impl<A: Authenticate> Handler for Ingress<A> {
    type Body = Body;

    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Body> {
        let call = self.call(request, peer).await;
        pipeline::handle(&self.mesh, call).await.response
    }

    fn refuse(&self, why: Ambiguous, _: &Peer) -> Response<Body> {
        // Nothing is known of such a request, so there is no call to record.
        let call = nowhere(Caller::nobody(), Request::new(()).into_parts().0, why.into());
        let record = self.mesh.records.start(&call);
        record.finish(Err(why.into())).response
    }
}

/// What a request's head means, and what it is aimed at.
fn aim(names: &Names, head: &Parts) -> Result<(Canonical, Routed), Failure> {
    let canonical = canonicalise(head).map_err(Failure::from)?;
    let routed = names.inbound(&canonical.host, canonical.path());
    Ok((canonical, routed))
}

/// The same for a request that nobody sent: its head as it would be judged, and what it would be aimed at.
pub fn rehearse(names: &Names, head: Parts) -> (Parts, Routed) {
    match aim(names, &head) {
        Ok((canonical, routed)) => (forwarded(head, &canonical), routed),
        Err(failure) => (head, Routed { verb: Verb::Request, target: Target::Nowhere(failure) }),
    }
}

/// The head as it is judged and forwarded: the canonical request and no other.
fn forwarded(mut head: Parts, canonical: &Canonical) -> Parts {
    strip_head(&mut head.headers);
    #[cfg(weft_defects)]
    crate::path::seeded::keep_raw_path(&mut head);
    canonical.write_to(&mut head, Scheme::HTTP);
    head
}

fn nowhere(caller: Caller, head: Parts, failure: Failure) -> Box<Call> {
    Box::new(Call {
        verb: Verb::Request,
        target: Target::Nowhere(failure),
        caller,
        request: Request::from_parts(head, empty()),
        deadline: Instant::now(),
        hops: 0,
        cause: None,
        events: None,
    })
}

/// A request for one name on a connection that was opened for another (RFC 9110, section 15.5.20).
fn misdirected(host: &str) -> Failure {
    Failure {
        outside: Some("the request is for another host than the connection; open one for it".into()),
        ..Failure::hidden(Reason::Misdirected, format!("the connection was opened for another host than {host:?}"))
    }
}

fn body_error(fault: BodyFault) -> BodyError {
    let kind = match fault {
        BodyFault::TooLarge { .. } => BodyErrorKind::TooLarge,
        BodyFault::TooSlow | BodyFault::Idle => BodyErrorKind::TimedOut,
        BodyFault::Malformed(_) | BodyFault::CutOff(_) => BodyErrorKind::Aborted,
    };
    BodyError::new(kind, fault.to_string())
}

#[cfg(test)]
mod tests;
