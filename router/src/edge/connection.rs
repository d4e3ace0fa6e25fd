//! One connection from its first byte to its last: which protocol it speaks, which requests of it are answered by the
//! handler and which by a refusal, and when it ends (idle, drained, cut). Separate from the listener, which decides only
//! whether there may be a connection.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use http::header::{CONNECTION, HeaderValue, UPGRADE};
use http::{Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, InFlight};
use super::gate::{Gate, GateTimes, Replaced};
use super::listener::{EdgeLimits, Handler};
use super::session::{Peer, Session, Speaks};

/// What an HTTP/2 connection starts with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// First read of a connection, in bytes: holds most request heads whole.
const FIRST_READ: usize = 4 * 1024;

/// Largest buffer of an HTTP/1 connection, in bytes: threats.md A-06. Twice the largest head.
const HTTP1_BUFFER: usize = 64 * 1024;

/// Streams per HTTP/2 connection: what nginx and Envoy's edge guide use.
const HTTP2_STREAMS: u32 = 100;
/// Flow control, in bytes: a stream may have 64 KiB under way and a connection 1 MiB (threats.md section 7).
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Decoded size of a header list, in bytes (B-05).
const HTTP2_HEADER_LIST: u32 = 16 * 1024;
/// Resets before the connection is ended: rapid reset (B-01) and errors provoked on our side (B-03).
const HTTP2_PENDING_RESETS: usize = 20;
const HTTP2_LOCAL_RESETS: usize = 100;
/// Bytes of an answer buffered per stream.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// A peer that answers no PING for as long as this is gone; the interval is half of the usual 60 s of idleness.
const HTTP2_PING_EVERY: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How connections are served. Built once per listener.
pub(super) struct Protocols {
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
    limits: EdgeLimits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn is_spoken(self, agreed: Speaks) -> bool {
        match agreed {
            Speaks::Either => true,
            Speaks::Http1 => self == Self::Http1,
            Speaks::Http2 => self == Self::Http2,
        }
    }
}

impl Protocols {
    pub(super) fn new(limits: EdgeLimits) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // hyper's timer runs from the end of the last answer, so it would end idle connections; the gate's runs from
            // a head's first byte. The number of headers is hyper's default (100), which the gate has checked.
            .header_read_timeout(None)
            .max_buf_size(HTTP1_BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(HTTP2_HEADER_LIST)
            .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
            .max_local_error_reset_streams(HTTP2_LOCAL_RESETS)
            .max_send_buf_size(HTTP2_SEND_BUFFER)
            .keep_alive_interval(HTTP2_PING_EVERY)
            .keep_alive_timeout(HTTP2_PING_TIMEOUT);
        Self { http1: builder.clone().http1_only(), http2: builder.http2_only(), limits }
    }

    /// Serves one connection until it ends, is idle for too long, has to end, or `shutdown` and its time to drain have
    /// passed. One that is cut answers nothing more, not even what is in flight.
    pub(super) async fn serve<IO, H>(&self, mut io: IO, session: Session, handler: Arc<H>, shutdown: CancellationToken)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Handler,
    {
        let sniffed = tokio::select! {
            sniffed = sniff(&mut io, &self.limits) => sniffed,
            () = shutdown.cancelled() => return,
            () = session.over() => return,
            () = session.cut() => return,
        };
        let Ok((protocol, first)) = sniffed else { return };
        if !protocol.is_spoken(session.speaks) {
            tracing::debug!(peer = %session.peer.addr, "closed a connection: it does not speak what it agreed on");
            return;
        }
        let service = Arc::new(ConnectionService::new(handler, session.peer.clone()));
        let times = GateTimes { head: self.limits.head, write_stall: self.limits.write_stall };
        let gate = Gate::new(io, times, Arc::clone(&service.replaced), Arc::clone(&service.activity));
        let (gate, builder) = match protocol {
            Protocol::Http1 => (gate.judging(first), &self.http1),
            Protocol::Http2 => (gate.passing(first), &self.http2),
        };
        let activity = Arc::clone(&service.activity);
        let answer = service_fn(move |request| Arc::clone(&service).answer(request));
        let mut connection = pin!(builder.serve_connection(TokioIo::new(gate), answer));
        // In a set that polls none but those that woke it: a connection wakes for each request, and these almost never.
        let ends = [
            shutdown.cancelled().map(|()| Why::Over).boxed(),
            activity.idle_for(self.limits.idle).map(|()| Why::Over).boxed(),
            session.over().map(|()| Why::Over).boxed(),
            session.cut().map(|()| Why::Cut).boxed(),
        ];
        let mut ends: FuturesUnordered<_> = ends.into_iter().collect();
        tokio::select! {
            biased;
            ended = &mut connection => return note_end(&session.peer, ended),
            Some(why) = ends.next() => if why == Why::Cut {
                return note_cut(&session.peer, NOT_TRUSTED);
            },
        }
        drop(ends);
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection => note_end(&session.peer, ended),
            () = session.cut() => note_cut(&session.peer, NOT_TRUSTED),
            () = sleep(self.limits.drain) => note_cut(&session.peer, "it did not drain"),
        }
    }
}

/// Why a connection ends that its client would keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It takes no more requests.
    Over,
    /// Nothing of it goes on.
    Cut,
}

const NOT_TRUSTED: &str = "its certificate is no longer trusted";

fn note_cut(peer: &Peer, why: &'static str) {
    let id = peer.certificate.as_ref().map(|certificate| certificate.id.as_str());
    tracing::info!(peer = %peer.addr, id, why, "cut a connection");
}

/// What a client does to its own connection is not our error.
fn note_end(peer: &Peer, ended: Result<(), Box<dyn StdError + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.addr, %error, "connection ended early");
    }
}

/// Reads until it is clear which protocol this is. Our own, and not hyper-util's, because that one waits for ever and
/// because the gate must know the answer.
async fn sniff<IO: AsyncRead + Unpin>(io: &mut IO, limits: &EdgeLimits) -> io::Result<(Protocol, BytesMut)> {
    let mut first = BytesMut::with_capacity(FIRST_READ);
    let mut deadline = Instant::now() + limits.idle;
    loop {
        let read = timeout_at(deadline, io.read_buf(&mut first)).await??;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if read == first.len() {
            deadline = Instant::now() + limits.head;
        }
        if let Some(protocol) = protocol_of(&first) {
            return Ok((protocol, first));
        }
    }
}

/// `None` while the bytes could still become a preface.
fn protocol_of(first: &[u8]) -> Option<Protocol> {
    if first.starts_with(PREFACE) {
        return Some(Protocol::Http2);
    }
    (!PREFACE.starts_with(first)).then_some(Protocol::Http1)
}

/// Answers the requests of one connection.
struct ConnectionService<H> {
    handler: Arc<H>,
    peer: Peer,
    replaced: Arc<Replaced>,
    activity: Arc<Activity>,
    /// Requests that hyper has read.
    requests: AtomicU64,
}

impl<H: Handler> ConnectionService<H> {
    fn new(handler: Arc<H>, peer: Peer) -> Self {
        let activity = Arc::new(Activity::new());
        Self { handler, peer, replaced: Arc::default(), activity, requests: AtomicU64::new(0) }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Tracked<H::Body>>, Infallible> {
        let in_flight = InFlight::enter(&self.activity);
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if let Some((replaced, why)) = self.replaced.get()
            && *replaced == number
        {
            return Ok(self.handler.refuse(*why, &self.peer).map(|body| Tracked { body, _in_flight: in_flight }));
        }
        // What follows these heads may be meant as another protocol, and must never be read as requests.
        let last = request.version() < Version::HTTP_2
            && (request.method() == Method::CONNECT || request.headers().contains_key(UPGRADE));
        let mut response = self.handler.handle(request, &self.peer).await;
        if last {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(response.map(|body| Tracked { body, _in_flight: in_flight }))
    }
}

/// A response body; its request is in flight until it is dropped.
struct Tracked<B> {
    body: B,
    _in_flight: InFlight,
}

impl<B: Body + Unpin> Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
