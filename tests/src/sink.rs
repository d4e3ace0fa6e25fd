//! A server outside the mesh to which triggers deliver: records every delivery, and answers by script.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::eventually;

/// What was delivered.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// When it was here whole.
    pub at: Instant,
    /// Path and query.
    pub target: String,
    /// The head.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Delivery {
    /// A header that came once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok();
        assert!(values.next().is_none(), "{name} came more than once");
        first
    }

    /// The event's id.
    pub fn id(&self) -> String {
        self.header("ce-id").unwrap_or_else(|| panic!("not a binary event: {self:?}")).to_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// How the sink answers.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Reply {
    /// An empty answer.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn render(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status.try_into().expect("a status");
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).expect("a header's name");
            response.headers_mut().append(name, HeaderValue::try_from(value).expect("a header's value"));
        }
        response
    }
}

/// How the sink answers its n-th delivery, counted from 0.
type Script = dyn Fn(usize, &Delivery) -> Reply + Send + Sync;

/// A running sink. It ends when it is dropped.
pub struct Sink {
    address: SocketAddr,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    hook: Arc<Hook>,
    task: JoinHandle<()>,
}

/// The handshake of web hooks: what was asked, and how it is answered; `None`: as a server that does not know it.
#[derive(Default)]
struct Hook {
    asked: Mutex<Vec<Delivery>>,
    answer: Mutex<Option<Reply>>,
}

impl Sink {
    /// A sink that takes everything.
    pub async fn start() -> Self {
        Self::answering(|_, _| Reply::status(204)).await
    }

    /// A sink that answers with these statuses in turn, the last one again and again.
    pub async fn with_statuses(statuses: &[u16]) -> Self {
        let statuses = statuses.to_vec();
        Self::answering(move |number, _| Reply::status(statuses[number.min(statuses.len() - 1)])).await
    }

    /// A sink that answers by a script, which is given the number of the delivery, counted from 0, and the delivery.
    pub async fn answering(script: impl Fn(usize, &Delivery) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the sink's address");
        let deliveries = Arc::<Mutex<Vec<Delivery>>>::default();
        let hook = Arc::<Hook>::default();
        let task = tokio::spawn(serve(listener, deliveries.clone(), hook.clone(), Arc::new(script)));
        Self { address, deliveries, hook, task }
    }

    /// A URL of the sink.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Answers the handshake of web hooks so from now on.
    pub fn agree(&self, answer: Reply) {
        *self.hook.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
    }

    /// The handshakes that were asked for so far.
    pub fn handshakes(&self) -> Vec<Delivery> {
        self.hook.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was delivered so far, in the order in which it came.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until at least `count` deliveries came, and gives all.
    pub async fn received(&self, count: usize) -> Vec<Delivery> {
        let what = format!("{count} deliveries");
        eventually(&what, async || Some(self.deliveries()).filter(|deliveries| deliveries.len() >= count)).await
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An address where nobody listens, and nobody else can while this exists: connections to it are refused.
pub struct Nobody {
    socket: TcpSocket,
}

impl Nobody {
    /// Takes a free port and does not listen on it.
    pub fn there() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        Self { socket }
    }

    /// A URL of the address.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.socket.local_addr().expect("the address"))
    }
}

async fn serve(listener: TcpListener, deliveries: Arc<Mutex<Vec<Delivery>>>, hook: Arc<Hook>, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (deliveries, hook, script) = (deliveries.clone(), hook.clone(), script.clone());
        let service = service_fn(move |request| answer(request, deliveries.clone(), hook.clone(), script.clone()));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    hook: Arc<Hook>,
    script: Arc<Script>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Ok(Reply::status(400).render()) };
    let target = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let delivery = Delivery { at: Instant::now(), target, headers: head.headers, body: body.to_bytes() };
    // The handshake of web hooks is no delivery; a sink need not know it.
    if head.method != Method::POST {
        hook.asked.lock().unwrap_or_else(PoisonError::into_inner).push(delivery);
        let answer = hook.answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
        return Ok(answer.unwrap_or_else(|| Reply::status(405)).render());
    }
    let mut deliveries = deliveries.lock().unwrap_or_else(PoisonError::into_inner);
    let reply = script(deliveries.len(), &delivery);
    deliveries.push(delivery);
    Ok(reply.render())
}
