//! A small HTTP client for tests: one connection per request, nothing hidden, nothing retried.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Ask {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    /// A request with a method and a target (path and query).
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        let method = method.parse().unwrap_or_else(|_| panic!("{method} is not a method"));
        Self { method, target: target.into(), headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// `GET`.
    pub fn get(target: impl Into<String>) -> Self {
        Self::new("GET", target)
    }

    /// `POST`.
    pub fn post(target: impl Into<String>) -> Self {
        Self::new("POST", target)
    }

    /// Sets the host.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        let mut ask = self;
        ask.headers.insert(http::header::HOST, host.parse().unwrap_or_else(|_| panic!("{host} is not a host")));
        ask
    }

    /// Adds a header; the value may be any bytes that HTTP can carry.
    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut ask = self;
        let name = HeaderName::try_from(name).unwrap_or_else(|_| panic!("{name} is not a header"));
        let value = HeaderValue::from_bytes(value.as_ref());
        ask.headers.append(name, value.expect("a value that HTTP can carry"));
        ask
    }

    /// Sets the body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// Sets a JSON body without a content type.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// The request with another body than a whole one.
    pub fn with_body<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.target.parse::<Uri>().unwrap_or_else(|_| panic!("{} is no target", self.target));
        *request.headers_mut() = self.headers;
        request
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// A header, if it came once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok();
        assert!(values.next().is_none(), "{name} came more than once");
        first
    }

    /// The reason code, if the mesh itself answered. Checks what every answer of the mesh must have.
    pub fn code(&self) -> Option<String> {
        if self.header("content-type") != Some("application/problem+json") {
            return None;
        }
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert_eq!(problem["decision"].as_str(), self.decision(), "{problem}");
        problem["code"].as_str().map(str::to_owned)
    }

    /// The id of the decision.
    pub fn decision(&self) -> Option<&str> {
        let id = self.header("x-weft-decision")?;
        assert!(id.len() == 28 && id.starts_with("d-"), "{id} is not a decision id");
        Some(id)
    }
}

/// A connection.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<IO: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for IO {}

/// Sends a request on a connection of its own and reads the whole answer.
///
/// # Errors
/// The connection or the answer broke off.
pub async fn send(to: SocketAddr, ask: Ask) -> Result<Answer, hyper::Error> {
    let body = Full::new(ask.body.clone());
    read(open(to, ask.with_body(body)).await?).await
}

/// Sends a request on a connection of its own and gives the answer when its head is here. The connection ends with the
/// answer's body.
///
/// # Errors
/// The connection broke off.
pub async fn open<B>(to: SocketAddr, request: Request<B>) -> Result<Response<Incoming>, hyper::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(to).await.unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"));
    open_on(stream, request).await
}

/// Sends a request on a connection that is there already, such as one of TLS, and reads the whole answer.
///
/// # Errors
/// The connection or the answer broke off.
pub async fn send_on(stream: impl Stream, ask: Ask) -> Result<Answer, hyper::Error> {
    let body = Full::new(ask.body.clone());
    read(open_on(stream, ask.with_body(body)).await?).await
}

async fn open_on<B>(stream: impl Stream, request: Request<B>) -> Result<Response<Incoming>, hyper::Error>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    answer.expect("an answer in time")
}

/// Reads an answer to its end.
///
/// # Errors
/// It broke off.
pub async fn read(response: Response<Incoming>) -> Result<Answer, hyper::Error> {
    let (head, body) = response.into_parts();
    let body = tokio::time::timeout(PATIENCE, body.collect()).await.expect("the answer's end")?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body: body.to_bytes() })
}

/// Sends a request over HTTP/2 on a connection of its own, without TLS, and reads the whole answer. The request's URI must
/// be absolute.
///
/// # Errors
/// The connection or the answer broke off.
pub async fn send_http2<B>(to: SocketAddr, request: Request<B>) -> Result<Answer, hyper::Error>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(to).await.unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"));
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request)).await;
    read(answer.unwrap_or_else(|_| panic!("{to} did not answer"))?).await
}
