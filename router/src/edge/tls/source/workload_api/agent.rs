//! A Workload API for tests: a server of its own that speaks the published protocol and knows nothing of the client.

use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::StreamBody;
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the agent says now: a message as bytes, or a status that refuses.
#[derive(Clone)]
pub(in crate::edge::tls) enum Says {
    Update(Vec<u8>),
    Status(u16),
}

/// What an agent was asked: path and guard header.
pub(in crate::edge::tls) type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// An agent.
pub(in crate::edge::tls) struct Agent {
    says: watch::Sender<Says>,
    pub(in crate::edge::tls) asked: Asked,
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One field of a protobuf message: a number, and bytes.
pub(in crate::edge::tls) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length as u8 & 0x7f) | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

impl Agent {
    pub(in crate::edge::tls) fn start(socket: &Path, says: Says) -> Self {
        let _old = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let (says, heard) = watch::channel(says);
        let asked = Asked::default();
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            // Its connections end with it.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, seen) = (heard.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(request, heard.clone(), Arc::clone(&seen)));
                    let _over =
                        http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { says, asked, task }
    }

    pub(in crate::edge::tls) fn say(&self, says: Says) {
        self.says.send_replace(says);
    }
}

type Answer = Response<StreamBody<futures_util::stream::BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

async fn answer(request: Request<Incoming>, heard: watch::Receiver<Says>, seen: Asked) -> Result<Answer, Infallible> {
    let guard = request.headers().get("workload.spiffe.io").and_then(|value| value.to_str().ok()).map(str::to_owned);
    seen.lock().unwrap().push((request.uri().path().to_owned(), guard));
    let stream = futures_util::stream::unfold((heard, true), |(mut heard, first)| async move {
        if !first {
            heard.changed().await.ok()?;
        }
        let says = heard.borrow_and_update().clone();
        let frame = match says {
            Says::Update(message) => {
                let mut bytes = BytesMut::new();
                bytes.put_u8(0);
                bytes.put_u32(message.len() as u32);
                bytes.extend_from_slice(&message);
                Frame::data(bytes.freeze())
            }
            Says::Status(status) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from(status));
                trailers.insert("grpc-message", HeaderValue::from_static("no identity issued"));
                Frame::trailers(trailers)
            }
        };
        Some((Ok(frame), (heard, false)))
    });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(StreamBody::new(futures_util::StreamExt::boxed(stream))).unwrap())
}
