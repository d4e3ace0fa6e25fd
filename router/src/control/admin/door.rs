//! The ways in to the admin API: loopback, a unix socket, TLS with a client's certificate. Each says who comes in and what
//! the guard holds against it; what they may do is decided behind, by policy. Separate because identity comes from the
//! way in and from nothing else.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::Guard;
use crate::edge::session::Session;
use crate::edge::tls::acceptor::Secure;
use crate::edge::tls::keyring::{Clients, Keyring, Protocols};
use crate::path::caller::{Caller, Principal, Proof};

/// Any connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<IO: AsyncRead + AsyncWrite + Send + Unpin> Stream for IO {}

/// Who came in, and how.
pub(super) struct Visitor {
    pub(super) stream: Box<dyn Stream>,
    pub(super) caller: Caller,
    pub(super) guard: Guard,
    /// What is known of a TLS connection: when it must end.
    pub(super) session: Option<Session>,
}

/// One way in.
pub enum Door {
    /// Loopback: everybody is the same (`weft dev`).
    Loopback(TcpListener, Principal),
    /// A socket that only its owner and root may open.
    Socket(AdminSocket),
    /// TLS: everybody is who their certificate says.
    Tls(TcpListener, Arc<Secure>),
}

/// A unix socket that goes when this goes.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    /// Who its visitors are.
    principal: Principal,
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // One that is left behind is replaced at the next start.
        let _left = std::fs::remove_file(&self.path);
    }
}

impl Door {
    /// Opens a unix socket, for its owner alone (0600). A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// Somebody listens on it, or the system refuses.
    pub async fn socket(path: &Path, principal: Principal) -> io::Result<Self> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if UnixStream::connect(path).await.is_ok() {
                    return Err(error);
                }
                std::fs::remove_file(path)?;
                UnixListener::bind(path)?
            }
            bound => bound?,
        };
        // Until here others might have connected, and are refused by who they are.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(Self::Socket(AdminSocket { listener, path: path.to_owned(), principal }))
    }

    /// Opens a TLS listener that wants its clients' certificates.
    ///
    /// # Errors
    /// The address cannot be had.
    pub async fn tls(addr: SocketAddr, keyring: Arc<Keyring>) -> io::Result<Self> {
        let secure = Secure::new(keyring, Clients::MustProve, Protocols::Http1).map_err(io::Error::other)?;
        Ok(Self::Tls(TcpListener::bind(addr).await?, Arc::new(secure)))
    }

    /// Where it is: `127.0.0.1:8081`, `unix:/run/weft/admin.sock`, `https://0.0.0.0:8444`.
    pub fn address(&self) -> String {
        let of =
            |listener: &TcpListener| listener.local_addr().map_or_else(|_| "?".to_owned(), |addr| addr.to_string());
        match self {
            Self::Loopback(listener, _) => of(listener),
            Self::Socket(socket) => format!("unix:{}", socket.path.display()),
            Self::Tls(listener, _) => format!("https://{}", of(listener)),
        }
    }

    /// The next connection, not yet a visitor.
    pub(super) async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Self::Loopback(listener, principal) => {
                let (stream, addr) = listener.accept().await?;
                Ok(Arrival::Loopback(stream, addr, principal.clone()))
            }
            Self::Socket(socket) => {
                let (stream, _) = socket.listener.accept().await?;
                Ok(Arrival::Socket(stream, socket.principal.clone()))
            }
            Self::Tls(listener, secure) => {
                let (stream, addr) = listener.accept().await?;
                Ok(Arrival::Tls(stream, addr, Arc::clone(secure)))
            }
        }
    }
}

/// A connection of which nothing is known yet.
pub(super) enum Arrival {
    Loopback(TcpStream, SocketAddr, Principal),
    Socket(UnixStream, Principal),
    Tls(TcpStream, SocketAddr, Arc<Secure>),
}

impl Arrival {
    /// Who it is; `None` if it may not come in, which is logged.
    pub(super) async fn visitor(self) -> Option<Visitor> {
        match self {
            Self::Loopback(stream, addr, principal) => {
                // Without it answers come later, and are right all the same.
                let _ = stream.set_nodelay(true);
                let caller = Caller { address: Some(addr.ip()), ..Caller::direct(principal, Proof::Dev) };
                Some(Visitor { stream: Box::new(stream), caller, guard: Guard::Loopback, session: None })
            }
            Self::Socket(stream, principal) => {
                let ours = rustix::process::geteuid().as_raw();
                let theirs = stream.peer_cred().ok()?.uid();
                if theirs != ours && theirs != 0 {
                    tracing::warn!(
                        uid = theirs,
                        "refused a connection to the admin socket: it is for its owner and root"
                    );
                    return None;
                }
                let caller = Caller::direct(principal, Proof::Socket);
                Some(Visitor { stream: Box::new(stream), caller, guard: Guard::Open, session: None })
            }
            Self::Tls(stream, addr, secure) => {
                let _ = stream.set_nodelay(true);
                let (stream, session) = secure.accept(stream, addr).await?;
                let certificate = session.peer.certificate.clone()?;
                let caller = Caller::direct(certificate.id.clone().into(), Proof::Mtls);
                let caller = Caller { address: Some(addr.ip()), ..caller };
                Some(Visitor { stream: Box::new(stream), caller, guard: Guard::Pages, session: Some(session) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_its_owners_and_replaces_one_that_is_dead() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("admin.sock");
        let admin: Principal = crate::path::caller::workload("spiffe://weft.local/ns/weft-system/sa/admin");
        let door = Door::socket(&path, admin.clone()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Door::socket(&path, admin.clone()).await.is_err(), "somebody listens on it");
        let _client = UnixStream::connect(&path).await.unwrap();
        let visitor = door.accept().await.unwrap().visitor().await.unwrap();
        assert_eq!((visitor.caller.principal, visitor.caller.how), (admin.clone(), Proof::Socket));
        drop(door);
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(Door::socket(&path, admin).await.is_ok(), "nobody listens on it any more");
    }
}
