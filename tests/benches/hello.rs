//! The least a server can do: hyper alone, answering every request with a text of the same size as the function's; with TLS
//! as a node speaks it, or without.

use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::tls;

/// As long as what `examples/hello` answers.
const TEXT: &str = "hello from weft\nyou are spiffe://weft.local/ns/default/sa/dev\n";

/// Serves until it is killed. Says its address first.
pub(crate) async fn serve() {
    each(|socket| drop(tokio::spawn(answer(socket)))).await;
}

/// The same over TLS, for clients with a certificate; `folder` has what [`tls::make`] put there.
pub(crate) async fn serve_tls(folder: &Path) {
    let acceptor = TlsAcceptor::from(tls::server(folder));
    each(|socket| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move { answer(acceptor.accept(socket).await.expect("a handshake")).await });
    })
    .await;
}

async fn each(mut take: impl FnMut(TcpStream)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("an address"));
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a connection");
        take(stream);
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let answer = service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(TEXT)))) });
    // A client that hangs up is done.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}
