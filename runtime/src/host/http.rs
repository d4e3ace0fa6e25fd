//! HTTP between a guest and the outside: which headers pass, and how an outgoing call becomes one
//! [`Outbound::send`]. Separate from the store, because it knows HTTP and nothing of instances.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, Response, header};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinHandle},
    time::{Instant, Sleep, sleep, timeout},
};
use wasmtime_wasi_http::{Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpHooks};

use crate::{Body, BodyError, BodyErrorKind, Outbound, OutboundError, OutboundTimeouts, limits};

/// Fields of one connection and not of a message (RFC 9110 section 7.6.1), and `host`, which is the URI's authority.
/// Guests neither see nor set them.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    const NAMES: [&str; 10] = [
        "connection",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    NAMES.contains(&name.as_str())
}

/// Removes hop-by-hop fields, and those that `connection` names, from the head of a response.
pub(crate) fn strip_head(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    strip(headers, |name| is_hop_by_hop(name) || named.contains(name));
}

/// Removes from trailers what may not stand there: hop-by-hop fields, framing, and the type of the content
/// (RFC 9110 section 6.5.1).
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    const FRAMING: [HeaderName; 4] =
        [header::CONTENT_LENGTH, header::CONTENT_TYPE, header::CONTENT_ENCODING, header::TRAILER];
    strip(trailers, |name| is_hop_by_hop(name) || FRAMING.contains(name));
}

fn strip(headers: &mut HeaderMap, forbidden: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| forbidden(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The way out of one store.
pub(crate) struct Hooks {
    outbound: Arc<dyn Outbound>,
    /// Made with the first call: many guests make none.
    slots: Option<Arc<Semaphore>>,
    /// Where outgoing calls run. A heavy guest goes on on threads without an I/O driver and of lower priority, and its
    /// calls are I/O.
    serving: Handle,
}

impl Hooks {
    /// The outgoing calls of one invocation go here, on the tokio runtime that is current now.
    pub(crate) fn new(outbound: Arc<dyn Outbound>) -> Self {
        Self { outbound, slots: None, serving: Handle::current() }
    }
}

/// A task that ends when nobody waits for it.
struct Awaited<T>(JoinHandle<T>);

impl<T> Future for Awaited<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

type Worker = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for Hooks {
    fn is_forbidden_header(&mut self, name: &HeaderName) -> bool {
        is_hop_by_hop(name)
    }

    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        static FILTER: LazyLock<ForbiddenHeaderFilter> = LazyLock::new(|| Arc::new(is_hop_by_hop));
        FILTER.clone()
    }

    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Worker,
    ) -> Box<dyn Future<Output = Result<(Response<WasiBody>, Worker), Error>> + Send> {
        let slots = self.slots.get_or_insert_with(|| Arc::new(Semaphore::new(limits::OUTBOUND_MAX)));
        let call = send(self.outbound.clone(), slots.clone(), request, options.unwrap_or_default());
        let call = Awaited(self.serving.spawn(call));
        Box::new(async move {
            let failed = |_| Error::InternalError(Some("the outgoing call failed inside the host".to_owned()));
            let response = call.await.map_err(failed)??;
            let nothing_left: Worker = Box::new(async { Ok(()) });
            Ok((response, nothing_left))
        })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        limits::BODY_CHUNKS
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::BODY_CHUNK_BYTES
    }
}

/// One outgoing call. It holds its slot until the response's body is read or dropped.
async fn send(
    outbound: Arc<dyn Outbound>,
    slots: Arc<Semaphore>,
    request: Request<WasiBody>,
    options: RequestOptions,
) -> Result<Response<WasiBody>, Error> {
    let timeouts = OutboundTimeouts {
        connect: options.connect_timeout,
        first_byte: options.first_byte_timeout,
        between_bytes: options.between_bytes_timeout,
    };
    let exchange = async {
        let slot = slots.acquire_owned().await.map_err(|_| Error::ConnectionLimitReached)?;
        let request = request.map(from_guest);
        let response = outbound.send(request, timeouts).await.map_err(to_guest)?;
        Ok::<_, Error>((response, slot))
    };
    let (response, slot) = match timeouts.first_byte {
        Some(limit) => timeout(limit, exchange).await.map_err(|_| Error::HttpResponseTimeout)??,
        None => exchange.await?,
    };
    Ok(response.map(|body| IncomingBody::new(body, timeouts.between_bytes, slot).boxed_unsync()))
}

/// A body that a guest writes, for the outside.
fn from_guest(body: WasiBody) -> Body {
    let cut = |_| BodyError::new(BodyErrorKind::Guest, "the function left the body of its outgoing call unfinished");
    body.map_err(cut).boxed_unsync()
}

/// The `wasi:http` error code for each reason.
fn to_guest(error: OutboundError) -> Error {
    match error {
        OutboundError::Denied => Error::HttpRequestDenied,
        OutboundError::DnsFailure => Error::DnsError { rcode: None, info_code: None },
        OutboundError::AddressProhibited => Error::DestinationIpProhibited,
        OutboundError::NotFound => Error::DestinationNotFound,
        OutboundError::Unavailable => Error::DestinationUnavailable,
        OutboundError::ConnectionRefused => Error::ConnectionRefused,
        OutboundError::ConnectionTerminated => Error::ConnectionTerminated,
        OutboundError::ConnectTimeout => Error::ConnectionTimeout,
        OutboundError::Timeout => Error::HttpResponseTimeout,
        OutboundError::LimitReached => Error::ConnectionLimitReached,
        OutboundError::Loop => Error::LoopDetected,
        OutboundError::RequestTooLarge => Error::HttpRequestBodySize(None),
        OutboundError::Tls(_) => Error::TlsProtocolError,
        OutboundError::Protocol(_) => Error::HttpProtocolError,
        OutboundError::Internal(text) => Error::InternalError(Some(text)),
    }
}

/// The error code of a request body that broke while the guest read it.
pub(crate) fn request_body_error(error: BodyError) -> Error {
    match error.kind {
        BodyErrorKind::TooLarge => Error::HttpRequestBodySize(None),
        BodyErrorKind::TimedOut => Error::ConnectionReadTimeout,
        BodyErrorKind::Aborted | BodyErrorKind::Guest => Error::ConnectionTerminated,
    }
}

/// The body of a response to an outgoing call, as the guest reads it.
struct IncomingBody {
    body: Body,
    between: Option<(Duration, Pin<Box<Sleep>>)>,
    _slot: OwnedSemaphorePermit,
}

impl IncomingBody {
    fn new(body: Body, between: Option<Duration>, slot: OwnedSemaphorePermit) -> Self {
        Self { body, between: between.map(|limit| (limit, Box::pin(sleep(limit)))), _slot: slot }
    }
}

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some((limit, timer)) = &mut self.between {
                    timer.as_mut().reset(Instant::now() + *limit);
                }
                Poll::Ready(frame.map(|frame| {
                    frame.map_err(|error| match error.kind {
                        BodyErrorKind::TooLarge => Error::HttpResponseBodySize(None),
                        BodyErrorKind::TimedOut => Error::ConnectionReadTimeout,
                        BodyErrorKind::Aborted | BodyErrorKind::Guest => Error::HttpResponseIncomplete,
                    })
                }))
            }
            Poll::Pending => match &mut self.between {
                Some((_, timer)) => timer.as_mut().poll(cx).map(|()| Some(Err(Error::ConnectionReadTimeout))),
                None => Poll::Pending,
            },
        }
    }
}

#[cfg(test)]
mod tests;
