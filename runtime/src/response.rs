//! A guest's response on its way out: what is checked of its head, and a body that ends cleanly only if the guest
//! finished it. Separate from the instance, because it outlives the call's beginning and knows HTTP.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until},
};
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use crate::{
    Body, BodyError, BodyErrorKind, InvokeError, Limits,
    host::http::{strip_head, strip_trailers},
};

/// Told to the guest's task when the response is complete: the guest may tidy up. Dropped untold, the guest is ended.
pub(crate) type Finish = oneshot::Sender<()>;

/// Why the guest ended, once it has; the text explains a body that was cut short.
pub(crate) type Ending = Arc<OnceLock<BodyError>>;

/// Checks the head and wraps the body.
pub(crate) fn respond(
    method: &Method,
    response: Response<HyperOutgoingBody>,
    limits: &Limits,
    finish: Finish,
    ending: Ending,
) -> Result<Response<Body>, InvokeError> {
    let (mut head, body) = response.into_parts();
    if head.status.is_informational() {
        return Err(InvokeError::BadResponse(format!("its status is {}", head.status)));
    }
    strip_head(&mut head.headers);
    if head.status == StatusCode::NO_CONTENT {
        head.headers.remove(header::CONTENT_LENGTH); // RFC 9110 section 8.6
    }
    let bodiless = method == Method::HEAD || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let announced = if bodiless { None } else { content_length(&head.headers)? };
    if let Some(bytes @ 1..) = announced
        && body.is_end_stream()
    {
        return Err(InvokeError::BadResponse(format!("it announces {bytes} bytes and has no body")));
    }
    let now = Instant::now();
    let body = GuestBody {
        guest: body,
        bodiless,
        announced,
        sent: 0,
        idle: limits.idle,
        end: now + limits.stream,
        timer: Box::pin(sleep_until(now + limits.idle.min(limits.stream))),
        finish: Some(finish),
        ending,
    };
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, InvokeError> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse().ok()) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(InvokeError::BadResponse(format!("its content-length is {value:?}"))),
    }
}

/// The body of a guest's response, as the caller reads it.
struct GuestBody {
    guest: HyperOutgoingBody,
    /// Whatever the guest writes is read and not passed on.
    bodiless: bool,
    announced: Option<u64>,
    sent: u64,
    idle: Duration,
    end: Instant,
    timer: Pin<Box<Sleep>>,
    /// Gone when the body has ended in either way.
    finish: Option<Finish>,
    ending: Ending,
}

impl GuestBody {
    fn completed(&mut self) {
        if let Some(finish) = self.finish.take() {
            let _ = finish.send(()); // a guest that has ended already needs no word
        }
    }

    /// Ends the guest and the body.
    fn cut(&mut self, kind: BodyErrorKind, message: impl Into<String>) -> BodyError {
        self.finish = None;
        BodyError::new(kind, message)
    }

    /// Checks what was written so far against what was announced.
    fn count(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.sent = self.sent.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        match self.announced {
            Some(announced) if self.sent > announced => Err(self.cut(
                BodyErrorKind::TooLarge,
                format!("the function sends more than the {announced} bytes it announced"),
            )),
            _ => Ok(()),
        }
    }

    fn ended(&mut self) -> Option<BodyError> {
        match self.announced {
            Some(announced) if self.sent < announced => {
                let sent = self.sent;
                Some(
                    self.cut(BodyErrorKind::Guest, format!("the function announced {announced} bytes and sent {sent}")),
                )
            }
            _ => {
                self.completed();
                None
            }
        }
    }

    fn frame(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let now = Instant::now();
        if now >= self.end {
            return Err(self.cut(BodyErrorKind::TimedOut, "the response took longer than limits.stream"));
        }
        self.timer.as_mut().reset(self.end.min(now + self.idle));
        match frame.into_data() {
            Ok(data) => self.count(data.len()).map(|()| Frame::data(data)),
            Err(frame) => Ok(match frame.into_trailers() {
                Ok(mut trailers) => {
                    strip_trailers(&mut trailers);
                    Frame::trailers(trailers)
                }
                Err(frame) => frame,
            }),
        }
    }
}

impl http_body::Body for GuestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        while this.finish.is_some() {
            match Pin::new(&mut this.guest).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match this.frame(frame) {
                    Ok(_) if this.bodiless => {}
                    result => return Poll::Ready(Some(result)),
                },
                Poll::Ready(Some(Err(_))) => {
                    let unfinished =
                        || BodyError::new(BodyErrorKind::Guest, "the function left its response unfinished");
                    let error = this.ending.get().cloned().unwrap_or_else(unfinished);
                    return Poll::Ready(Some(Err(this.cut(error.kind, error.message))));
                }
                Poll::Ready(None) => return Poll::Ready(this.ended().map(Err)),
                Poll::Pending => {
                    ready!(this.timer.as_mut().poll(cx));
                    let limit = if Instant::now() >= this.end { "limits.stream" } else { "limits.idle" };
                    let error = this.cut(BodyErrorKind::TimedOut, format!("the response took longer than {limit}"));
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.finish.is_none() || self.guest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.announced {
            Some(announced) => SizeHint::with_exact(announced.saturating_sub(self.sent)),
            None => self.guest.size_hint(),
        }
    }
}

impl Drop for GuestBody {
    /// A server does not read on when there is nothing more to send: that is a complete response, and its guest is
    /// not ended. Anything else dropped early is a caller that went away.
    fn drop(&mut self) {
        if self.bodiless || self.announced == Some(self.sent) || self.guest.is_end_stream() {
            self.completed();
        }
    }
}

#[cfg(test)]
mod tests;
