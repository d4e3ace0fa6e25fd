//! The only place that calls the runtime: hands a permitted call to a revision, with the caller's verified identity in
//! the headers a function may rely on. What is behind a function's name is the composition's to say and nobody else's.

use std::sync::Arc;

use futures_util::StreamExt;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use weft_runtime::{Body, Invocation, Outbound, Revision, empty, full};

use crate::path::Mesh;
use crate::path::call::Call;
use crate::path::identity_fields;
use crate::path::nested::Nested;
use crate::path::outcome::Failure;
use crate::path::policy::Permit;
use crate::path::snapshot::DeployedFunction;

/// What answers the calls that are permitted to functions.
#[derive(Debug, Clone)]
pub enum Backend {
    /// The functions themselves.
    Runtime,
    /// This text, at once and whatever the function: what a call costs without one. Benchmarks compose such a node; no
    /// command, file or manifest can ask for it.
    Text(&'static str),
}

impl Backend {
    /// Answers a permitted call to `function`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn invoke(
        mesh: &Arc<Mesh>,
        permit: Permit,
        function: &Arc<DeployedFunction>,
        call: Box<Call>,
    ) -> Result<http::Response<Body>, Failure> {
        match &mesh.backend {
            Self::Runtime => {
                let nested = Nested::of(mesh, function, &call);
                invoke(permit, &function.revision, call, nested).await
            }
            Self::Text(text) => Ok(http::Response::new(full(*text))),
        }
    }
}

/// Starts the function and answers with its response.
async fn invoke(
    permit: Permit,
    revision: &Revision,
    mut call: Box<Call>,
    outbound: Arc<dyn Outbound>,
) -> Result<http::Response<Body>, Failure> {
    identity_fields::assert(call.request.headers_mut(), &call.caller);
    let (head, body) = call.request.into_parts();
    let request = http::Request::from_parts(head, begun(body).await?);
    drop(permit);
    let invocation = Invocation { request, deadline: call.deadline, outbound };
    Ok(revision.invoke(invocation).await?)
}

/// Waits for the body's first bytes or its end, so that a client that announces a body and sends nothing holds no
/// instance (`threats.md` A-03).
async fn begun(mut body: Body) -> Result<Body, Failure> {
    if body.is_end_stream() {
        return Ok(body);
    }
    match body.frame().await {
        None => Ok(empty()),
        Some(Ok(first)) if body.is_end_stream() => Ok(once(first)),
        Some(Ok(first)) => {
            let rest = BodyStream::new(body);
            Ok(BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter([Ok(first)]).chain(rest))))
        }
        Some(Err(error)) => Err((&error).into()),
    }
}

/// A body of one frame that says at once that it ends after it.
fn once(frame: Frame<bytes::Bytes>) -> Body {
    match frame.into_data() {
        Ok(data) => full(data),
        Err(trailers) => StreamBody::new(futures_util::stream::iter([Ok(trailers)])).boxed_unsync(),
    }
}
