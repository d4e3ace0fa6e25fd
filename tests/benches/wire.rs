//! The load generator: requests as bytes, answers read just far enough to know where they end. A full client would take
//! more processor time than some of the servers, and would be what is measured.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Bytes of the largest head or body that is read; answers here are smaller than a kibibyte.
const ANSWER_MAX: usize = 64 << 10;

/// Where clients connect to, and how.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl From<SocketAddr> for Door {
    fn from(addr: SocketAddr) -> Self {
        Self { addr, tls: None }
    }
}

/// Bytes both ways, with or without TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that is kept alive, with one request at a time.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    /// What was read; an answer is removed when it is whole.
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: impl Into<Door>) -> Self {
        let Door { addr, tls } = to.into();
        let socket = TcpStream::connect(addr).await.unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}"));
        socket.set_nodelay(true).expect("a connection");
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(socket),
            Some((connector, name)) => Box::new(connector.connect(name, socket).await.expect("a handshake")),
        };
        Self { stream, buffer: Vec::with_capacity(ANSWER_MAX) }
    }

    /// Sends a request and reads the answer to its end; gives the status.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        loop {
            if let Some((status, length)) = answer(&self.buffer)? {
                self.buffer.drain(..length);
                return Ok(status);
            }
            if self.buffer.len() > ANSWER_MAX {
                return Err(Error::new(ErrorKind::InvalidData, "an answer is too large"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::new(ErrorKind::UnexpectedEof, "the server hung up"));
            }
        }
    }
}

/// Status and length of the answer that `bytes` begin with; `None` while it is not whole.
fn answer(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let bad = || Error::new(ErrorKind::InvalidData, "not an answer");
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| bad())?;
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
    let body = end + 4;
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            let length: usize = value.trim().parse().map_err(|_| bad())?;
            return Ok((bytes.len() >= body + length).then_some((status, body + length)));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Ok(chunks(&bytes[body..])?.map(|length| (status, body + length)));
        }
    }
    Err(bad())
}

/// The length of a chunked body without trailers; `None` while it is not whole.
fn chunks(bytes: &[u8]) -> Result<Option<usize>> {
    let mut at = 0;
    loop {
        let Some(line) = bytes[at..].windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size =
            std::str::from_utf8(&bytes[at..at + line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.ok_or_else(|| Error::new(ErrorKind::InvalidData, "not a chunk"))?;
        at += line + 2 + size + 2;
        if at > bytes.len() {
            return Ok(None);
        }
        if size == 0 {
            return Ok(Some(at));
        }
    }
}

/// Writes the request with this number, which no other request has.
pub(crate) type Make = Arc<dyn Fn(&mut Vec<u8>, u64) + Send + Sync>;

/// A crowd of clients, each with a connection and one request at a time.
pub(crate) struct Clients {
    connections: Vec<Connection>,
    make: Make,
    expect: u16,
    serial: Arc<AtomicU64>,
}

/// What a crowd did.
pub(crate) struct Load {
    pub(crate) elapsed: Duration,
    /// Of each request, from its first byte out to the answer's last byte in. In no order.
    pub(crate) latencies: Vec<Duration>,
}

impl Clients {
    /// Connects `count` clients whose every request must be answered with `expect`.
    pub(crate) async fn connect(
        to: impl Into<Door>,
        count: usize,
        make: impl Fn(&mut Vec<u8>, u64) + Send + Sync + 'static,
        expect: u16,
    ) -> Self {
        let (door, mut connections) = (to.into(), Vec::with_capacity(count));
        for _ in 0..count {
            connections.push(Connection::open(door.clone()).await);
        }
        Self { connections, make: Arc::new(make), expect, serial: Arc::new(AtomicU64::new(1)) }
    }

    /// Each client asks again and again for this long.
    pub(crate) async fn run(&mut self, duration: Duration) -> Load {
        self.go(Some(duration), u64::MAX).await
    }

    /// The clients together make this many requests.
    pub(crate) async fn make(&mut self, requests: u64) -> Load {
        self.go(None, self.serial.load(Ordering::Relaxed) + requests).await
    }

    async fn go(&mut self, duration: Option<Duration>, until: u64) -> Load {
        let start = Instant::now();
        let mut clients = JoinSet::new();
        for mut connection in self.connections.drain(..) {
            let (serial, make, expect) = (self.serial.clone(), self.make.clone(), self.expect);
            clients.spawn(async move {
                let (mut request, mut latencies) = (Vec::new(), Vec::new());
                while duration.is_none_or(|duration| start.elapsed() < duration) {
                    let number = serial.fetch_add(1, Ordering::Relaxed);
                    if number >= until {
                        break;
                    }
                    request.clear();
                    make(&mut request, number);
                    let asked = Instant::now();
                    let status = connection.exchange(&request).await.expect("an answer");
                    assert_eq!(status, expect, "the answer to request {number}");
                    latencies.push(asked.elapsed());
                }
                (connection, latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(done) = clients.join_next().await {
            let (connection, some) = done.expect("a client");
            self.connections.push(connection);
            latencies.extend(some);
        }
        Load { elapsed: start.elapsed(), latencies }
    }
}
