//! What the node shows and whom it trusts at this moment, and the TLS settings made of both. Everything in it is swapped
//! whole: a handshake sees the old state or the new one.
//!
//! Sources ([`super::source`]) put new certificates and new trust in; listeners and outbound calls only read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig, SignatureScheme};
use weft_eventlog::Clock;

use super::open::{Chain, Entry, Open};
use super::own::Own;
use super::trust::Trust;
use super::verifier::Verifier;

/// What a listener speaks over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/2 and HTTP/1.1.
    Both,
    /// HTTP/1.1 alone.
    Http1,
}

impl Protocols {
    /// Their names in the handshake (RFC 7301), best first.
    fn alpn(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Both => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// Whether a listener wants its clients' certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Without a certificate that is trusted there is no connection.
    MustProve,
    /// They bring a token, or nothing.
    Anonymous,
}

/// Certificates and trust in force.
pub struct Keyring {
    own: ArcSwapOption<Own>,
    trust: Arc<ArcSwap<Trust>>,
    open: Arc<Open>,
    clock: Arc<dyn Clock>,
    provider: Arc<CryptoProvider>,
}

impl Keyring {
    /// A keyring with nothing to show that trusts nobody: its listeners refuse every handshake.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            own: ArcSwapOption::empty(),
            trust: Arc::new(ArcSwap::from_pointee(Trust::nobody())),
            open: Arc::default(),
            clock,
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        })
    }

    /// What the node shows now.
    pub fn own(&self) -> Option<Arc<Own>> {
        self.own.load_full()
    }

    /// Whom it trusts now.
    pub fn trust(&self) -> Arc<Trust> {
        self.trust.load_full()
    }

    /// Shows something else from now on. Open connections go on.
    pub fn show(&self, own: Own) {
        self.own.store(Some(Arc::new(own)));
    }

    /// Trusts differently from now on, and cuts what would be refused now. Returns how many connections were cut.
    pub async fn rely_on(&self, trust: Trust) -> usize {
        let trust = Arc::new(trust);
        // In this order: a handshake that ends in between is entered, and looks at what is in force then.
        self.trust.store(Arc::clone(&trust));
        let (open, now) = (Arc::clone(&self.open), self.now());
        // Thousands of signatures are no work for a thread that serves.
        tokio::task::spawn_blocking(move || open.judge(&trust, now)).await.unwrap_or(0)
    }

    /// Enters a connection into the registry of those that are open.
    pub(super) fn enter(&self, chain: Chain) -> Entry {
        self.open.enter(chain)
    }

    /// The time by which certificates are judged.
    pub(super) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_millis(self.clock.now_ms()))
    }

    /// Settings for a listener: TLS 1.3 alone with rustls's suites, and no resumption of any kind, so that every
    /// connection's certificate is judged (C-05).
    ///
    /// # Errors
    /// rustls refuses them, which it does for no reason of ours.
    pub fn server(
        self: &Arc<Self>,
        clients: Clients,
        protocols: Protocols,
    ) -> Result<Arc<ServerConfig>, rustls::Error> {
        let time: Arc<dyn TimeProvider> = Arc::new(Time(Arc::clone(&self.clock)));
        let builder = ServerConfig::builder_with_details(Arc::clone(&self.provider), time);
        let builder = builder.with_protocol_versions(&[&TLS13])?;
        let builder = match clients {
            Clients::MustProve => builder.with_client_cert_verifier(self.verifier()),
            Clients::Anonymous => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(Shown(Arc::clone(self))));
        config.alpn_protocols = protocols.alpn();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// Settings for calls to names of the mesh as what `identity` shows: TLS 1.3 alone, a node at the other end, nothing
    /// resumed.
    ///
    /// # Errors
    /// rustls refuses them, which it does for no reason of ours.
    pub(super) fn client(&self, identity: Arc<dyn ResolvesClientCert>) -> Result<ClientConfig, rustls::Error> {
        let time: Arc<dyn TimeProvider> = Arc::new(Time(Arc::clone(&self.clock)));
        let builder = ClientConfig::builder_with_details(Arc::clone(&self.provider), time);
        let builder = builder.with_protocol_versions(&[&TLS13])?;
        let builder = builder.dangerous().with_custom_certificate_verifier(self.verifier());
        let mut config = builder.with_client_cert_resolver(identity);
        config.resumption = rustls::client::Resumption::disabled();
        Ok(config)
    }

    pub(super) fn verifier(&self) -> Arc<Verifier> {
        Arc::new(Verifier::new(Arc::clone(&self.trust), self.provider.signature_verification_algorithms))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = self.own();
        f.debug_struct("Keyring")
            .field("own", &own.as_ref().map(|own| own.id().as_str()))
            .field("trust", &self.trust())
            .finish_non_exhaustive()
    }
}

/// Our clock in rustls's words.
struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.now_ms())))
    }
}

/// What a listener shows, asked once per handshake.
#[derive(Debug)]
struct Shown(Arc<Keyring>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.own()?.for_name(hello.server_name(), self.0.now()))
    }
}

/// The node's own certificate as a client's.
#[derive(Debug)]
pub(super) struct AsNode(pub(super) Arc<Keyring>);

impl ResolvesClientCert for AsNode {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.own()?.certificate())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
