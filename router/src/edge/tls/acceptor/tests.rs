//! The mTLS listener over real sockets: who gets in, who is cut, and what slow and foreign clients get.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateRevocationListDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::edge::Ambiguous;
use crate::edge::listener::{EdgeLimits, Handler, Listener};
use crate::edge::tls::Trust;
use crate::edge::tls::mint::{Authority, ID, NOW, at, dns, uri};
use crate::edge::tls::own::Own;

const HOST: &str = "hello.mesh.example";

/// No test waits longer for anything.
const DEADLINE: Duration = Duration::from_secs(20);

/// Time stands still.
#[derive(Debug)]
struct StandsStill;

impl weft_eventlog::Clock for StandsStill {
    fn now_ms(&self) -> u64 {
        NOW * 1000
    }
}

/// Answers with the caller's id, and whether the request belongs here. `/slow` never ends.
struct Who;

impl Handler for Who {
    type Body = Full<Bytes>;

    async fn handle(&self, request: Request<Incoming>, peer: &Peer) -> Response<Full<Bytes>> {
        if request.uri().path() == "/slow" {
            std::future::pending::<()>().await;
        }
        let id = peer.certificate.as_ref().map_or("nobody", |certificate| certificate.id.as_str());
        let host = request.uri().host().map(str::to_owned);
        let host = host.or_else(|| Some(request.headers().get("host")?.to_str().ok()?.to_owned()));
        let here = if peer.called.is(host.as_deref().unwrap_or_default()) { "" } else { " elsewhere" };
        Response::new(Full::from(format!("{id}{here}")))
    }

    fn refuse(&self, _: Ambiguous, _: &Peer) -> Response<Full<Bytes>> {
        Response::new(Full::from("refused"))
    }
}

/// A listener with its authority.
struct Server {
    root: Authority,
    keyring: Arc<Keyring>,
    addr: SocketAddr,
    shutdown: CancellationToken,
}

impl Server {
    async fn start(clients: Clients) -> Self {
        let keyring = Keyring::new(Arc::new(StandsStill));
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let listener = listener.secured(Arc::clone(&keyring), clients).unwrap();
        let (addr, shutdown) = (listener.local_addr(), CancellationToken::new());
        tokio::spawn(listener.serve(EdgeLimits::default(), Arc::new(Who), shutdown.clone()));
        let server = Self { root: Authority::root("root"), keyring, addr, shutdown };
        server.show();
        server.trust(&[&server.root], &[]).await;
        server
    }

    /// Shows a new certificate of the node's.
    fn show(&self) {
        let (leaf, key) = self.root.leaf(|leaf| {
            leaf.subject_alt_names = vec![uri("spiffe://weft.local/node/n1"), dns("*.mesh.example")];
        });
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        self.keyring.show(Own::given(vec![leaf], &key, self.keyring.now()).unwrap());
    }

    async fn trust(&self, roots: &[&Authority], lists: &[CertificateRevocationListDer<'_>]) -> usize {
        let roots = roots.iter().map(|root| root.der.clone()).collect();
        self.keyring.rely_on(Trust::new([("weft.local".parse().unwrap(), roots)], lists).unwrap()).await
    }

    fn client(&self, protocol: &[u8]) -> Client {
        self.client_of(&self.root, protocol, |_| {})
    }

    fn client_of(
        &self,
        authority: &Authority,
        protocol: &[u8],
        edit: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> Client {
        let (leaf, key) = authority.leaf(edit);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let mut config = self.settings().with_client_auth_cert(vec![leaf.clone()], key).unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Client { leaf, config: Arc::new(config), addr: self.addr }
    }

    fn anonymous(&self, protocol: &[u8]) -> ClientConfig {
        let mut config = self.settings().with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        config
    }

    /// A client that trusts whom the server trusts.
    fn settings(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_details(provider, Arc::new(StandsStill));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        builder.dangerous().with_custom_certificate_verifier(self.keyring.verifier())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl rustls::time_provider::TimeProvider for StandsStill {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        Some(crate::edge::tls::mint::now())
    }
}

struct Client {
    leaf: CertificateDer<'static>,
    config: Arc<ClientConfig>,
    addr: SocketAddr,
}

/// An open connection, in either protocol.
enum Connection {
    One(hyper::client::conn::http1::SendRequest<Empty<Bytes>>),
    Two(hyper::client::conn::http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    async fn connect(&self, name: &'static str) -> Result<(Connection, tokio::task::JoinHandle<()>), String> {
        let socket = TcpStream::connect(self.addr).await.map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let stream = connector.connect(ServerName::try_from(name).unwrap(), socket).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let two = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        if two {
            let shaken = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await;
            let (send, connection) = shaken.map_err(|error| error.to_string())?;
            return Ok((Connection::Two(send), tokio::spawn(async move { drop(connection.await) })));
        }
        let (send, connection) = hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
        Ok((Connection::One(send), tokio::spawn(async move { drop(connection.await) })))
    }

    /// One request on a connection of its own.
    async fn ask(&self, host: &str) -> Result<String, String> {
        let (mut connection, _task) = self.connect(HOST).await?;
        connection.ask(host, "/").await
    }
}

impl Connection {
    async fn ask(&mut self, host: &str, path: &str) -> Result<String, String> {
        use http_body_util::BodyExt;
        let uri = match self {
            Self::One(_) => path.to_owned(),
            Self::Two(_) => format!("https://{host}{path}"),
        };
        let mut request = Request::get(uri);
        if matches!(self, Self::One(_)) {
            request = request.header("host", host);
        }
        let request = request.body(Empty::new()).unwrap();
        let response = match self {
            Self::One(send) => {
                send.ready().await.map_err(|error| error.to_string())?;
                send.send_request(request).await
            }
            Self::Two(send) => {
                send.ready().await.map_err(|error| error.to_string())?;
                send.send_request(request).await
            }
        };
        let body = response.map_err(|error| format!("{error:?}"))?.into_body();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(body.to_bytes().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_certificate_is_who_one_is_in_both_protocols() {
    let server = Server::start(Clients::MustProve).await;
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let client = server.client(protocol);
        assert_eq!(client.ask(HOST).await.as_deref(), Ok(ID));
        let elsewhere = client.ask("other.mesh.example").await;
        assert_eq!(elsewhere.as_deref(), Ok("spiffe://weft.local/ns/shop/sa/clerk elsewhere"));
    }
}

#[tokio::test]
async fn without_a_trusted_certificate_there_is_an_alert_and_not_a_byte() {
    let server = Server::start(Clients::MustProve).await;
    let nobody =
        Client { leaf: server.root.der.clone(), config: Arc::new(server.anonymous(b"http/1.1")), addr: server.addr };
    let error = nobody.ask(HOST).await.unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
    let stranger = server.client_of(&Authority::root("root"), b"http/1.1", |_| {});
    let error = stranger.ask(HOST).await.unwrap_err();
    assert!(error.contains("AlertReceived"), "{error}");
    let expired = server.client_of(&server.root, b"h2", |leaf| leaf.not_after = at(-1));
    assert!(expired.ask(HOST).await.is_err());
}

#[tokio::test]
async fn on_the_other_tls_listener_nobody_is_asked() {
    let server = Server::start(Clients::Anonymous).await;
    let config = Arc::new(server.anonymous(b"h2"));
    let nobody = Client { leaf: server.root.der.clone(), config, addr: server.addr };
    assert_eq!(nobody.ask(HOST).await.as_deref(), Ok("nobody"));
}

#[tokio::test]
async fn without_a_name_the_certificates_own_names_count() {
    let server = Server::start(Clients::MustProve).await;
    let mut client = server.client(b"http/1.1");
    let mut config = (*client.config).clone();
    config.enable_sni = false;
    client.config = Arc::new(config);
    assert_eq!(client.ask("topics.mesh.example").await.as_deref(), Ok(ID));
    for elsewhere in ["else.where", "127.0.0.1", "a.b.mesh.example"] {
        assert!(client.ask(elsewhere).await.unwrap().ends_with(" elsewhere"), "{elsewhere}");
    }
}

/// C-03: what is revoked is cut on open connections, in flight or not; others go on.
#[tokio::test]
async fn revoked_clients_are_cut_on_open_connections() {
    let server = Server::start(Clients::MustProve).await;
    let (bad, good) = (server.client(b"h2"), server.client(b"h2"));
    let (mut idle, idle_task) = bad.connect(HOST).await.unwrap();
    let (mut busy, busy_task) = bad.connect(HOST).await.unwrap();
    let (mut other, _task) = good.connect(HOST).await.unwrap();
    assert_eq!(idle.ask(HOST, "/").await.as_deref(), Ok(ID));
    assert_eq!(other.ask(HOST, "/").await.as_deref(), Ok(ID));
    let flight = tokio::spawn(async move { busy.ask(HOST, "/slow").await });
    let mut cut = 0;
    // The second connection may still be on its way into the registry.
    while cut < 2 {
        cut += server.trust(&[&server.root], &[server.root.revoke(&[&bad.leaf], 60)]).await;
        tokio::task::yield_now().await;
    }
    assert!(timeout(DEADLINE, flight).await.unwrap().unwrap().is_err());
    timeout(DEADLINE, idle_task).await.unwrap().unwrap();
    timeout(DEADLINE, busy_task).await.unwrap().unwrap();
    assert!(idle.ask(HOST, "/").await.is_err());
    assert_eq!(other.ask(HOST, "/").await.as_deref(), Ok(ID));
    assert!(bad.ask(HOST).await.is_err(), "a new handshake");
}

/// C-06: trust A, then A and B, then B: connections of A go on until A is gone.
#[tokio::test]
async fn roots_follow_one_another() {
    let server = Server::start(Clients::MustProve).await;
    let next = Authority::root("next");
    let (old, new) = (server.client(b"h2"), server.client_of(&next, b"h2", |_| {}));
    let (mut open, _task) = old.connect(HOST).await.unwrap();
    assert_eq!(open.ask(HOST, "/").await.as_deref(), Ok(ID));
    assert!(new.ask(HOST).await.is_err());
    server.trust(&[&server.root, &next], &[]).await;
    server.show();
    assert_eq!(open.ask(HOST, "/").await.as_deref(), Ok(ID), "a new certificate of ours leaves connections alone");
    assert_eq!(new.ask(HOST).await.as_deref(), Ok(ID));
    let (mut kept, _kept_task) = new.connect(HOST).await.unwrap();
    assert_eq!(kept.ask(HOST, "/").await.as_deref(), Ok(ID));
    assert_eq!(server.trust(&[&next], &[]).await, 1);
    assert!(timeout(DEADLINE, async { while open.ask(HOST, "/").await.is_ok() {} }).await.is_ok());
}

/// C-04: a connection ends with its certificate: nothing new is taken.
#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let server = Server::start(Clients::MustProve).await;
    let client = server.client_of(&server.root, b"h2", |leaf| leaf.not_after = at(1));
    let (mut connection, task) = client.connect(HOST).await.unwrap();
    assert_eq!(connection.ask(HOST, "/").await.as_deref(), Ok(ID));
    timeout(DEADLINE, task).await.unwrap().unwrap();
    assert!(connection.ask(HOST, "/").await.is_err());
}

/// A-02 and C-08: slow handshakes are closed in time, and other protocols get no answer.
#[tokio::test]
async fn slow_and_foreign_clients() {
    let server = Server::start(Clients::MustProve).await;
    let begun = Instant::now();
    let mut slow = TcpStream::connect(server.addr).await.unwrap();
    slow.write_all(&[0x16]).await.unwrap();
    let mut foreign = TcpStream::connect(server.addr).await.unwrap();
    foreign.write_all(b"GET / HTTP/1.1\r\nhost: hello.mesh.example\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(DEADLINE, foreign.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.len() <= 7 && answer.first().is_none_or(|first| *first == 0x15), "more than an alert: {answer:?}");
    let mut rest = Vec::new();
    let _reset = timeout(DEADLINE, slow.read_to_end(&mut rest)).await.unwrap();
    assert!(begun.elapsed() < HANDSHAKE_TIME + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn handshakes_of_one_source_leave_room_for_others() {
    let server = Server::start(Clients::MustProve).await;
    let secure = Secure::new(Arc::clone(&server.keyring), Clients::MustProve, Protocols::Both).unwrap();
    let one: IpAddr = "192.0.2.1".parse().unwrap();
    let places: Vec<_> = (0..HANDSHAKES_PER_SOURCE).map(|_| Place::take(&secure, one)).collect();
    assert!(places.iter().all(Option::is_some) && Place::take(&secure, one).is_none());
    assert!(Place::take(&secure, "192.0.2.2".parse().unwrap()).is_some());
    drop(places);
    assert!(Place::take(&secure, one).is_some() && secure.lock().is_empty());
}
