//! A TLS client of the tests' own, which sees the certificate that it is shown and counts what fails.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Somebody with a certificate.
#[derive(Clone)]
pub(super) struct Client {
    config: Arc<ClientConfig>,
    addr: SocketAddr,
    host: String,
}

/// An open connection, and the certificate that it was shown.
pub(super) struct Connection {
    send: SendRequest<Empty<Bytes>>,
    host: String,
    pub(super) shown: Vec<u8>,
}

impl Client {
    pub(super) fn new(folder: &Path, name: &str, addr: SocketAddr, host: &str) -> Self {
        let file = |name: &str| folder.join(name);
        let (certificate, key) = (file(&format!("{name}.crt")), file(&format!("{name}.key")));
        let config = weft_tests::workload::config(&file("ca/bundle.pem"), &certificate, &key);
        Self { config: Arc::new(config), addr, host: host.to_owned() }
    }

    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let text = |error: std::io::Error| error.to_string();
        let socket = TcpStream::connect(self.addr).await.map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let name = ServerName::try_from(self.host.clone()).expect("a name");
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, socket).await.map_err(text)?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.expect("a certificate").to_vec();
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(async move {
            let _seen_by_the_sender = connection.await;
        });
        Ok(Connection { send, host: self.host.clone(), shown })
    }
}

impl Connection {
    /// One request; anything but 200 is an error.
    pub(super) async fn get(&mut self, target: &str) -> Result<String, String> {
        let text = |error: hyper::Error| format!("{error:?}");
        self.send.ready().await.map_err(text)?;
        let request = Request::get(target).header("host", &self.host).body(Empty::new()).expect("a request");
        let response = self.send.send_request(request).await.map_err(text)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(text)?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if status == 200 { Ok(body) } else { Err(format!("{status}: {body}")) }
    }
}
