//! A node for tests: real HTTP on a free port, canned answers, and a record of what was asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::client::Admin;

/// What was asked: method and path, Host, body.
pub(super) type Asked = Arc<Mutex<Vec<(String, String, Bytes)>>>;

/// A stub's answer.
#[derive(Clone)]
pub(super) struct Canned {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: String,
}

/// An answer of the admin API.
pub(super) fn canned(status: u16, body: impl Into<String>) -> Canned {
    Canned { status, headers: vec![("x-weft-api", "1")], body: body.into() }
}

/// A node with one answer to everything.
pub(super) async fn stub(canned: Canned) -> (Admin, Asked) {
    let (address, asked) = start(move |_line| canned.clone()).await;
    (Admin::new(address.parse().unwrap()), asked)
}

/// A node that chooses its answer by method and path. Answers its address and what it is asked.
pub(super) async fn start(choose: impl Fn(&str) -> Canned + Send + Sync + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (asked, choose) = (Asked::default(), Arc::new(choose));
    let seen = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, choose.clone(), seen.clone()));
        }
    });
    (address, asked)
}

/// Answers what is asked on one connection.
pub(super) async fn answer<S, F>(stream: S, choose: Arc<F>, asked: Asked)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(&str) -> Canned + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let (choose, asked) = (choose.clone(), asked.clone());
        async move {
            let line = format!("{} {}", request.method(), request.uri());
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let canned = choose(&line);
            asked.lock().unwrap().push((line, host, body));
            let mut response = Response::builder().status(canned.status);
            for (name, value) in canned.headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(canned.body))).unwrap())
        }
    });
    let _client_left = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
