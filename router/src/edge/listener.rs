//! Decides whether there may be one more connection, and when there are to be no more. Separate from what happens on one.

pub(super) mod sources;
#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Ambiguous;
use super::connection::Protocols;
use super::session::{Peer, Session, Speaks};
use super::tls::acceptor::Secure;
use super::tls::keyring::{self, Clients, Keyring};
use sources::Sources;

/// How long a failing `accept` waits before the next try: doubled from the first to the last. With no file descriptor left
/// a connection that ends makes room within the last.
const ACCEPT_PAUSE_FIRST: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_LAST: Duration = Duration::from_secs(1);

/// How long after the time to drain connections that still exist are waited for; covers a last answer's lingering.
const AFTER_DRAIN: Duration = Duration::from_secs(3);

/// Limits of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Connections at a time; others wait in the kernel's queue. Default 10,000.
    pub connections: usize,
    /// Connections at a time from one IPv4 address or IPv6 /64; others are closed. Default 256 (threats.md A-01).
    pub per_source: usize,
    /// From a request head's first byte to its last. Default 10 s.
    pub head: Duration,
    /// How long a connection may be open without a request in flight. Default 60 s.
    pub idle: Duration,
    /// How long a peer may take nothing of an answer. Default 30 s.
    pub write_stall: Duration,
    /// How long requests in flight may go on after shutdown began. Default 30 s.
    pub drain: Duration,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_source: 256,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// What answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answers' body.
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + Unpin + 'static;

    /// Answers a request whose framing is sound. Its head still has to be made canonical. A panic ends the connection
    /// (HTTP/1) or the stream (HTTP/2), and nothing else.
    fn handle(&self, request: Request<Incoming>, peer: &Peer) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers a request whose head was ambiguous in its raw bytes; nothing of it is known. The connection is closed
    /// after the answer.
    fn refuse(&self, why: Ambiguous, peer: &Peer) -> Response<Self::Body>;
}

/// A socket that is bound and not yet served.
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
    acceptor: Acceptor,
}

/// What stands between a socket and HTTP.
#[derive(Clone)]
enum Acceptor {
    Plain,
    Tls(Arc<Secure>),
}

impl Listener {
    /// Binds to an address; port 0 lets the system choose.
    ///
    /// # Errors
    /// Those of the system: the address is in use, is not ours, or needs a privilege.
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        let local_addr = socket.local_addr()?;
        Ok(Self { socket, local_addr, acceptor: Acceptor::Plain })
    }

    /// Speaks TLS on it.
    ///
    /// # Errors
    /// See [`Keyring::server`].
    pub fn secured(self, keyring: Arc<Keyring>, clients: Clients) -> Result<Self, rustls::Error> {
        Ok(Self { acceptor: Acceptor::Tls(Arc::new(Secure::new(keyring, clients, keyring::Protocols::Both)?)), ..self })
    }

    /// The address that clients connect to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves connections until `shutdown`, then stops accepting, lets requests in flight finish for
    /// [`EdgeLimits::drain`], and cuts those that do not.
    pub async fn serve<H: Handler>(self, limits: EdgeLimits, handler: Arc<H>, shutdown: CancellationToken) {
        let mut accepting = Accepting {
            acceptor: self.acceptor,
            protocols: Arc::new(Protocols::new(limits)),
            limits,
            handler,
            shutdown: shutdown.clone(),
            tasks: JoinSet::new(),
            sources: Sources::new(limits.per_source),
            pause: None,
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = accepting.tasks.join_next_with_id() => accepting.note_end(ended),
                accepted = accept(&self.socket, accepting.pause), if accepting.has_room() => accepting.take(accepted),
            }
        }
        drop(self.socket);
        accepting.drain().await;
    }
}

/// Waits out a pause, then accepts. Nothing is lost when it is dropped while waiting.
async fn accept(socket: &TcpListener, pause: Option<Pause>) -> io::Result<(TcpStream, SocketAddr)> {
    if let Some(pause) = pause {
        sleep_until(pause.until).await;
    }
    socket.accept().await
}

#[derive(Debug, Clone, Copy)]
struct Pause {
    length: Duration,
    until: Instant,
}

impl Pause {
    fn after(last: Option<Self>) -> Self {
        let length = last.map_or(ACCEPT_PAUSE_FIRST, |last| (last.length * 2).min(ACCEPT_PAUSE_LAST));
        Self { length, until: Instant::now() + length }
    }
}

/// The state of the accept loop; owned by it alone, so it needs no lock.
struct Accepting<H> {
    acceptor: Acceptor,
    protocols: Arc<Protocols>,
    limits: EdgeLimits,
    handler: Arc<H>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
    sources: Sources,
    pause: Option<Pause>,
}

impl<H: Handler> Accepting<H> {
    fn has_room(&self) -> bool {
        self.tasks.len() < self.limits.connections
    }

    fn take(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        match accepted {
            Ok((stream, addr)) => {
                self.pause = None;
                self.open(stream, addr);
            }
            Err(error) => self.pause_after(&error),
        }
    }

    fn open(&mut self, stream: TcpStream, addr: SocketAddr) {
        if !self.sources.has_room(addr.ip()) {
            tracing::debug!(peer = %addr, "closed a connection: too many from its address");
            return;
        }
        // A connection that cannot be set up is gone already.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let (acceptor, protocols) = (self.acceptor.clone(), Arc::clone(&self.protocols));
        let (handler, shutdown) = (Arc::clone(&self.handler), self.shutdown.clone());
        let connection = async move {
            match acceptor {
                Acceptor::Plain => {
                    let session = Session::new(Peer::plain(addr), Speaks::Either);
                    Box::pin(protocols.serve(stream, session, handler, shutdown)).await;
                }
                Acceptor::Tls(secure) => {
                    let accepted = shutdown.run_until_cancelled(secure.accept(stream, addr)).await;
                    let Some(Some((stream, session))) = accepted else { return };
                    Box::pin(protocols.serve(stream, session, handler, shutdown)).await;
                }
            }
        };
        let task = self.tasks.spawn(connection);
        self.sources.enter(addr.ip(), task.id());
    }

    /// A connection that failed before we took it says nothing about the next. Anything else (no file descriptor, no
    /// memory) stays for a while, and trying at once again would only burn the processor.
    fn pause_after(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
        if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
            return;
        }
        let pause = Pause::after(self.pause);
        self.pause = Some(pause);
        tracing::warn!(%error, pause = ?pause.length, "could not accept a connection; check the limit of open files");
    }

    fn note_end(&mut self, ended: Result<(tokio::task::Id, ()), JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        self.sources.leave(task);
        if let Err(error) = ended
            && error.is_panic()
        {
            tracing::error!(%error, "a connection's handler panicked; its connection was closed");
        }
    }

    async fn drain(mut self) {
        let limit = self.limits.drain + AFTER_DRAIN;
        let all = async {
            while let Some(ended) = self.tasks.join_next_with_id().await {
                self.note_end(ended);
            }
        };
        // Each connection cuts itself after `drain`; what is left here is stuck in its handler.
        if timeout(limit, all).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}
