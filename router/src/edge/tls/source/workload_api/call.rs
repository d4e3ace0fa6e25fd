//! One gRPC call whose answer is a stream of messages, over HTTP/2 on a unix socket. Just as much of gRPC as this takes:
//! length-prefixed messages without compression, and the status in the trailers.

use std::path::Path;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use super::message::Update;

/// The standard's method, and the header without which an agent must refuse (section 3: it stops requests that somebody
/// was tricked into making).
const METHOD: &str = "http://localhost/SpiffeWorkloadAPI/FetchX509SVID";
const GUARD: &str = "workload.spiffe.io";

/// Largest message, in bytes: gRPC's own default.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// How often an agent that says nothing is asked whether it is there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIME: Duration = Duration::from_secs(10);

/// A call whose answer goes on.
pub(super) struct Stream {
    body: Incoming,
    buffer: BytesMut,
    connection: JoinHandle<()>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

impl Stream {
    /// Connects and calls.
    pub(super) async fn open(socket: &Path) -> Result<Self, String> {
        let io = UnixStream::connect(socket).await.map_err(|error| format!("cannot connect: {error}"))?;
        let shaken = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME)
            .handshake(TokioIo::new(io));
        let (mut send, connection) = shaken.await.map_err(|error| format!("speaks no HTTP/2: {error}"))?;
        let connection = tokio::spawn(async move {
            // The call says what went wrong.
            let _over = connection.await;
        });
        // An empty message: not compressed, of length 0.
        let request = Request::post(METHOD)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(GUARD, "true")
            .body(Full::new(Bytes::from_static(&[0; 5])))
            .map_err(|error| error.to_string())?;
        let response = send.send_request(request).await.map_err(|error| format!("did not answer: {error}"))?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("answered {}", head.status));
        }
        refused(&head.headers)?;
        Ok(Self { body, buffer: BytesMut::new(), connection })
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Result<Update, String> {
        loop {
            if let Some(message) = self.cut()? {
                return Update::decode(message).map_err(|error| format!("sent no message of the standard: {error}"));
            }
            let frame = self.body.frame().await.ok_or("ended the stream")?;
            match frame.map_err(|error| format!("broke off: {error}"))?.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        refused(&trailers)?;
                    }
                }
            }
        }
    }

    /// Takes a whole message from the front of the buffer.
    fn cut(&mut self) -> Result<Option<Bytes>, String> {
        let Some((&[compressed, a, b, c, d], _)) = self.buffer.split_first_chunk() else { return Ok(None) };
        if compressed != 0 {
            return Err("sent a compressed message, which was not asked for".to_owned());
        }
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if length > MESSAGE_BYTES_MAX {
            return Err(format!("sent a message of {length} bytes, at most {MESSAGE_BYTES_MAX} are read"));
        }
        if self.buffer.len() < 5 + length {
            return Ok(None);
        }
        self.buffer.advance(5);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }
}

/// The status of a call that is over (gRPC over HTTP/2, "Responses").
fn refused(headers: &HeaderMap) -> Result<(), String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        None | Some("0") => Ok(()),
        Some(status) => {
            let message = text("grpc-message").unwrap_or_default().escape_debug();
            Err(format!("refused the call with status {}: {message}", status.escape_debug()))
        }
    }
}
