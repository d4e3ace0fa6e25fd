//! What is known of one connection for as long as it is open: who is at the other end, whom it called, and when it must
//! end. Separate because listeners with and without TLS make it, and everything behind them reads it alike.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use tokio::time::{Instant, sleep_until};

use super::tls::open::Entry;
use super::tls::trust::{Certificate, has_name};

/// Who is at the other end.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The address of the TCP connection; never one from a header.
    pub addr: SocketAddr,
    /// The certificate that the client proved to hold.
    pub certificate: Option<Arc<Certificate>>,
    /// Whom the client called.
    pub called: Called,
}

impl Peer {
    /// A client without TLS.
    pub fn plain(addr: SocketAddr) -> Self {
        Self { addr, certificate: None, called: Called::Anybody }
    }
}

/// Whom the client called when it connected. A request for somebody else does not belong on this connection.
#[derive(Debug, Clone)]
pub enum Called {
    /// Nobody by name: there was no TLS.
    Anybody,
    /// The name in the handshake (SNI), in lower case.
    Name(Arc<str>),
    /// Nobody by name, and got this certificate: it stands for the names and addresses in it.
    Certificate(Arc<CertifiedKey>),
}

impl Called {
    /// Whether a request for `host`, in its canonical form, belongs on this connection.
    pub fn is(&self, host: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Name(name) => **name == *host,
            Self::Certificate(shown) => {
                let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                let name = ServerName::try_from(bare);
                name.is_ok_and(|name| shown.end_entity_cert().is_ok_and(|leaf| has_name(leaf, &name)))
            }
        }
    }
}

/// Which protocol a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// Whatever it begins with.
    Either,
    /// What was agreed on in the handshake.
    Http1,
    /// The same.
    Http2,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) peer: Peer,
    pub(crate) speaks: Speaks,
    /// When it has to end: requests in flight may finish, no more are taken.
    pub(crate) ends: Option<Instant>,
    /// Its place among the open connections with a certificate.
    pub(crate) entry: Option<Entry>,
}

impl Session {
    pub(crate) fn new(peer: Peer, speaks: Speaks) -> Self {
        Self { peer, speaks, ends: None, entry: None }
    }

    /// Returns when the connection has to end; for some that is never.
    pub(crate) async fn over(&self) {
        match self.ends {
            Some(ends) => sleep_until(ends).await,
            None => std::future::pending().await,
        }
    }

    /// Returns when the connection has to end at once, whatever is in flight.
    pub(crate) async fn cut(&self) {
        match &self.entry {
            Some(entry) => entry.cut().cancelled().await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_belongs_where_its_host_was_called() {
        let named = Called::Name("hello.mesh.example".into());
        for (host, expect) in [("hello.mesh.example", true), ("other.mesh.example", false), ("127.0.0.1", false)] {
            assert_eq!(named.is(host), expect, "{host}");
        }
        assert!(Called::Anybody.is("whoever"));
    }
}
