//! The only place that calls the runtime: hands a permitted call to a revision, with the caller's verified identity in
//! the headers a function may rely on.

use std::sync::Arc;

use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, BodyStream, StreamBody};
use weft_runtime::{Body, Invocation, Outbound, Revision, empty, full};

use crate::path::call::Call;
use crate::path::caller::Caller;
use crate::path::outcome::Failure;
use crate::path::policy::Permit;

/// Who emitted the message, as the function sees it.
const PRINCIPAL_HEADER: HeaderName = HeaderName::from_static("x-weft-principal");
/// Who began the chain, as the function sees it.
const ORIGIN_HEADER: HeaderName = HeaderName::from_static("x-weft-origin");

/// Headers by which others assert an identity. What arrives in them is nobody's word, so they never reach a function.
const FOREIGN_IDENTITY: [&str; 5] =
    ["x-forwarded-client-cert", "x-forwarded-for", "forwarded", "l5d-client-id", "x-real-ip"];

/// Starts the function and answers with its response.
pub async fn invoke(
    permit: Permit,
    revision: &Revision,
    mut call: Call,
    outbound: Arc<dyn Outbound>,
) -> Result<http::Response<Body>, Failure> {
    assert_identity(call.request.headers_mut(), &call.caller);
    let (head, body) = call.request.into_parts();
    let request = http::Request::from_parts(head, begun(body).await?);
    drop(permit);
    let invocation = Invocation { request, deadline: call.deadline, outbound };
    let mut response = revision.invoke(invocation).await?;
    strip_mesh_headers(response.headers_mut());
    Ok(response)
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

/// Sets the identity headers from the verified caller; whatever stood there is replaced.
fn assert_identity(headers: &mut HeaderMap, caller: &Caller) {
    strip_identity(headers);
    for (name, principal) in [(PRINCIPAL_HEADER, &caller.principal), (ORIGIN_HEADER, &caller.origin)] {
        if let Ok(value) = HeaderValue::from_str(principal.as_str()) {
            headers.insert(name, value);
        }
    }
}

/// Removes everything that looks like an assertion of identity, ours and other meshes'.
pub fn strip_identity(headers: &mut HeaderMap) {
    strip_mesh_headers(headers);
    for name in FOREIGN_IDENTITY {
        headers.remove(name);
    }
}

/// Removes headers that only the mesh may set, in either direction.
fn strip_mesh_headers(headers: &mut HeaderMap) {
    let ours: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("x-weft-")).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::caller::{Proof, workload};

    #[test]
    fn what_a_client_claims_never_reaches_a_function() {
        let mut headers = HeaderMap::new();
        for name in FOREIGN_IDENTITY.iter().copied().chain(["x-weft-principal", "x-weft-origin", "x-weft-anything"]) {
            headers.append(name, HeaderValue::from_static("forged"));
            headers.append(name, HeaderValue::from_static("forged twice"));
        }
        headers.append("x-other", HeaderValue::from_static("kept"));
        let caller = Caller::direct(workload("spiffe://weft.local/ns/default/sa/dev"), Proof::Dev);
        assert_identity(&mut headers, &caller);
        assert!(headers.values().all(|value| !value.as_bytes().starts_with(b"forged")), "{headers:?}");
        assert_eq!(headers.len(), 3);
        assert_eq!(headers["x-weft-principal"], "spiffe://weft.local/ns/default/sa/dev");
        assert_eq!(headers["x-weft-origin"], "spiffe://weft.local/ns/default/sa/dev");
    }
}
