//! HTTP/1.1 over TCP, TLS or a unix socket: connect, ask, read, each with a limit.
//!
//! Separate because it knows bytes and time and nothing of the admin API; the data plane is asked through it too.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{Address, ClientError};
use crate::cli::failure::reason;

/// How long a connection may take to open. A node on the other side of the earth needs a third of a second.
const CONNECT: Duration = Duration::from_secs(5);

/// A question: a request before it knows where it goes.
#[derive(Debug)]
pub(in crate::cli) struct Ask {
    pub(super) method: Method,
    /// Path and query, already escaped.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Ask {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn with_body(mut self, content_type: &'static str, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body;
        self
    }

    /// The request as it goes out; `Host` is the address unless the question names another.
    fn into_request(self, address: &Address) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path.as_str())
            .header(HOST, address.authority())
            .body(Full::new(self.body))
            .map_err(|error| ClientError::Unasked(format!("{}: {error}", self.path)))?;
        request.headers_mut().extend(self.headers);
        Ok(request)
    }
}

/// An answer that was read whole.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Exchange {
    pub(super) async fn read(
        response: Response<Incoming>,
        limit: usize,
        patience: Duration,
        address: &Address,
    ) -> Result<Self, ClientError> {
        let status = response.status();
        let body = collect(response.into_body(), limit, patience, address).await?;
        Ok(Self { status, body })
    }
}

/// How a connection is made private, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) config: Arc<ClientConfig>,
    /// The name that the other end must have.
    pub(super) name: String,
}

/// Sends a question and waits for the head of its answer; `channel` is for addresses with TLS.
pub(super) async fn send(
    address: &Address,
    channel: Option<&Channel>,
    ask: Ask,
    patience: Duration,
) -> Result<Response<Incoming>, ClientError> {
    let request = ask.into_request(address)?;
    let mut sender = connect(address, channel).await?;
    match tokio::time::timeout(patience, sender.send_request(request)).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(ClientError::Interrupted { address: address.clone(), cause: cause(&error) }),
        Err(_elapsed) => Err(ClientError::TimedOut { address: address.clone(), patience }),
    }
}

/// Reads a body whole: up to `limit` bytes, within `patience`.
pub(in crate::cli) async fn collect(
    body: Incoming,
    limit: usize,
    patience: Duration,
    address: &Address,
) -> Result<Bytes, ClientError> {
    let address = || address.clone();
    match tokio::time::timeout(patience, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge { address: address(), limit }),
        Ok(Err(error)) => Err(ClientError::Interrupted { address: address(), cause: error.to_string() }),
        Err(_elapsed) => Err(ClientError::TimedOut { address: address(), patience }),
    }
}

async fn connect(address: &Address, channel: Option<&Channel>) -> Result<SendRequest<Full<Bytes>>, ClientError> {
    let opening = async {
        match address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                shake_hands(stream).await
            }
            Address::Tls { host, port } => {
                let Channel { config, name } = channel.ok_or_else(|| std::io::Error::other("no TLS settings"))?;
                let name = ServerName::try_from(name.clone()).map_err(std::io::Error::other)?;
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                shake_hands(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?).await
            }
            Address::Unix(path) => shake_hands(UnixStream::connect(path).await?).await,
        }
    };
    let unreachable = |cause: String| ClientError::Unreachable { address: address.clone(), cause };
    match tokio::time::timeout(CONNECT, opening).await {
        Ok(opened) => opened.map_err(|error| unreachable(reason(&error))),
        Err(_elapsed) => Err(unreachable(format!("no connection within {} s", CONNECT.as_secs()))),
    }
}

async fn shake_hands<S>(stream: S) -> std::io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // The connection ends when its one answer was read or dropped; its error reaches us through that answer.
    tokio::spawn(async move {
        let _seen_by_the_sender = connection.await;
    });
    Ok(sender)
}

/// The deepest cause of a hyper error, where its reason stands.
fn cause(error: &hyper::Error) -> String {
    let mut deepest: &dyn std::error::Error = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
