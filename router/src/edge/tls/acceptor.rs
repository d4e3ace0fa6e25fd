//! From a socket to a TLS connection: how long and how many at a time (threats.md A-02), what is known of the client
//! afterwards, and when the connection must end. Separate from the listener, which knows connections and no TLS.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::fault::log_text;
use super::keyring::{Clients, Keyring, Protocols};
use super::open::Chain;
use super::refusals::Refusals;
use super::svid::Role;
use super::trust::Certificate;
use crate::edge::listener::sources::source_of;
use crate::edge::session::{Called, Peer, Session, Speaks};

/// How long a handshake may take, waiting for its turn included.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);

/// Handshakes at a time; others wait their turn within the same time.
const HANDSHAKES_MAX: usize = 256;

/// Handshakes at a time, waiting ones included, from one source; more are closed. Lower than all, so that one source
/// cannot keep everybody else waiting.
const HANDSHAKES_PER_SOURCE: usize = 128;

/// How long a connection may go on, so that it is proven again now and then.
const AGE_MAX: Duration = Duration::from_secs(60 * 60);

/// How much is read, and for how long, of a client that was refused: closing at once would make the kernel send a reset,
/// which may destroy the alert before the client has read it.
const LINGER_BYTES: usize = 64 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Turns sockets into TLS connections.
pub struct Secure {
    keyring: Arc<Keyring>,
    acceptor: TlsAcceptor,
    turns: Semaphore,
    waiting: Mutex<HashMap<IpAddr, usize>>,
    refusals: Refusals,
}

impl Secure {
    /// For a listener whose clients prove themselves, or do not.
    ///
    /// # Errors
    /// See [`Keyring::server`].
    pub fn new(keyring: Arc<Keyring>, clients: Clients, protocols: Protocols) -> Result<Self, rustls::Error> {
        let config: Arc<ServerConfig> = keyring.server(clients, protocols)?;
        Ok(Self {
            keyring,
            acceptor: TlsAcceptor::from(config),
            turns: Semaphore::new(HANDSHAKES_MAX),
            waiting: Mutex::default(),
            refusals: Refusals::default(),
        })
    }

    /// Shakes hands; `None` if there is no connection, which is logged then.
    pub(crate) async fn accept(&self, socket: TcpStream, addr: SocketAddr) -> Option<(TlsStream<TcpStream>, Session)> {
        let deadline = Instant::now() + HANDSHAKE_TIME;
        let Some(_place) = Place::take(self, addr.ip()) else {
            tracing::debug!(peer = %addr, "closed a connection: too many handshakes from its address");
            return None;
        };
        // The semaphore is never closed.
        let _turn = timeout_at(deadline, self.turns.acquire()).await.ok()?.ok()?;
        let trusted = self.keyring.trust();
        let shaken = timeout_at(deadline, self.acceptor.accept(socket).into_fallible()).await;
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err((error, socket))) => {
                self.refusals.note(addr, &reason(&error));
                linger(socket).await;
                return None;
            }
            Err(_) => {
                self.refusals.note(addr, "the handshake took too long");
                return None;
            }
        };
        match self.session(&stream, addr, &trusted) {
            Ok(session) => Some((stream, session)),
            Err(why) => {
                self.refusals.note(addr, &why);
                None
            }
        }
    }

    /// What is known of a connection after its handshake. `trusted` is what was trusted before it.
    fn session(
        &self,
        stream: &TlsStream<TcpStream>,
        addr: SocketAddr,
        trusted: &Arc<super::Trust>,
    ) -> Result<Session, String> {
        let (_, tls) = stream.get_ref();
        let called = match tls.server_name() {
            Some(name) => Called::Name(name.to_ascii_lowercase().into()),
            None => {
                let own = self.keyring.own().ok_or("the node has no certificate")?;
                Called::Certificate(own.certificate())
            }
        };
        let speaks = match tls.alpn_protocol() {
            Some(b"h2") => Speaks::Http2,
            // Without ALPN there is no HTTP/2 over TLS (RFC 9113, section 3.2).
            _ => Speaks::Http1,
        };
        let mut session = Session::new(Peer { addr, certificate: None, called }, speaks);
        session.ends = Some(Instant::now() + AGE_MAX);
        if let Some(chain) = tls.peer_certificates() {
            let certificate = self.proven(chain, trusted, &mut session)?;
            session.peer.certificate = Some(Arc::new(certificate));
        }
        Ok(session)
    }

    /// Enters the connection, so that it can be cut, and gives it the end of its certificate.
    fn proven(
        &self,
        chain: &[CertificateDer<'static>],
        trusted: &Arc<super::Trust>,
        session: &mut Session,
    ) -> Result<Certificate, String> {
        let now = self.keyring.now();
        let shared: Chain = Arc::from(chain);
        session.entry = Some(self.keyring.enter(shared));
        // What the handshake was judged by may be out of force by now, and whoever changed it has not seen this one.
        let current = self.keyring.trust();
        let certificate = if Arc::ptr_eq(&current, trusted) {
            Certificate::of_verified(chain, Role::Client, now)
        } else {
            current.verify(chain, Role::Client, now)
        };
        let certificate = certificate.map_err(|fault| fault.to_string())?;
        let left = Duration::from_secs(certificate.not_after.saturating_sub(now.as_secs()));
        session.ends = session.ends.map(|ends| ends.min(Instant::now() + left));
        Ok(certificate)
    }
}

/// A handshake that is under way or waits for its turn.
struct Place<'a> {
    secure: &'a Secure,
    source: IpAddr,
}

impl<'a> Place<'a> {
    fn take(secure: &'a Secure, addr: IpAddr) -> Option<Self> {
        let source = source_of(addr);
        let mut waiting = secure.lock();
        let count = waiting.entry(source).or_default();
        if *count >= HANDSHAKES_PER_SOURCE {
            return None;
        }
        *count += 1;
        drop(waiting);
        Some(Self { secure, source })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.secure.lock();
        if let Some(count) = waiting.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.source);
            }
        }
    }
}

impl Secure {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to write into the log about a handshake that failed.
fn reason(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    inner.map_or_else(|| error.to_string(), log_text)
}

/// The alert is written; now the client has some time to read it.
async fn linger(mut socket: TcpStream) {
    let read = async {
        socket.shutdown().await?;
        let mut buffer = [0; 4 * 1024];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match socket.read(&mut buffer).await? {
                0 => break,
                bytes => left = left.saturating_sub(bytes),
            }
        }
        io::Result::Ok(())
    };
    // Whatever comes of it, the connection is over.
    let _over = timeout(LINGER_TIME, read).await;
}

#[cfg(test)]
mod tests;
