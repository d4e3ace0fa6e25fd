//! The table of certificates in real handshakes, both directions, over memory: who is refused learns it by an alert, and
//! the line for the log never holds the certificate.

use rustls::client::ResolvesClientCert;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConnection, Connection, ServerConfig, ServerConnection};

use super::*;
use crate::edge::tls::fault::log_text;
use crate::edge::tls::keyring::{Clients, Keyring, Protocols};
use crate::edge::tls::mint::cases::{Case, cases};
use crate::edge::tls::mint::{Authority, NOW, dns, uri};
use crate::edge::tls::own::Own;

/// Time stands still.
struct Now;

impl weft_eventlog::Clock for Now {
    fn now_ms(&self) -> u64 {
        NOW * 1000
    }
}

/// Shows whatever a test tells it to, however spoiled.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesClientCert for Shows {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn shows(case: &Case) -> Option<Arc<Shows>> {
    let key = PrivatePkcs8KeyDer::from(case.key.as_ref()?.serialize_der()).into();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Some(Arc::new(Shows(Arc::new(CertifiedKey::new(case.chain.clone(), key)))))
}

/// A keyring that trusts `trust` and shows a good node's certificate.
async fn keyring(trust: Trust) -> Arc<Keyring> {
    let keyring = Keyring::new(Arc::new(Now));
    let node = Authority::root("root");
    let (leaf, key) = node.leaf(|leaf| {
        leaf.subject_alt_names = vec![uri("spiffe://weft.local/node/n1"), dns("mesh.example")];
    });
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    keyring.show(Own::given(vec![leaf], &key, keyring.now()).unwrap());
    keyring.rely_on(trust).await;
    keyring
}

/// Exchanges everything that both sides have to say; the first complaint of each.
fn shake(client: ClientConnection, server: ServerConnection) -> (Option<Error>, Option<Error>) {
    let (mut client, mut server) = (Connection::from(client), Connection::from(server));
    let (mut client_error, mut server_error) = (None, None);
    for _ in 0..8 {
        client_error = client_error.or(hand_over(&mut client, &mut server).err());
        server_error = server_error.or(hand_over(&mut server, &mut client).err());
    }
    // The errors are those of the reading side.
    (server_error, client_error)
}

fn hand_over(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut bytes = &bytes[..];
    while !bytes.is_empty() {
        to.read_tls(&mut bytes).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

/// A client that takes any server.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

fn name() -> ServerName<'static> {
    "mesh.example".try_into().unwrap()
}

#[tokio::test]
async fn clients_get_their_verdict_in_the_handshake() {
    let (trust, cases) = cases();
    let keyring = keyring(trust).await;
    let server = keyring.server(Clients::MustProve, Protocols::Both).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let mut shaken = 0;
    for case in &cases {
        let Some(shows) = shows(case) else { continue };
        let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(algorithms)));
        let client = builder.with_client_cert_resolver(shows);
        let (client, server) = shake(
            ClientConnection::new(Arc::new(client), name()).unwrap(),
            ServerConnection::new(Arc::clone(&server)).unwrap(),
        );
        judge(case, case.as_client, server.as_ref());
        let alerted = matches!(client, Some(Error::AlertReceived(_)));
        assert_eq!(alerted, case.as_client.is_some(), "{}: {client:?}", case.name);
        shaken += 1;
    }
    assert!(shaken >= 60, "only {shaken} handshakes");
}

/// As a server the certificate must be a node's and have the name, so only refusals are those of the table.
#[tokio::test]
async fn servers_get_their_verdict_in_the_handshake() {
    let (trust, cases) = cases();
    let keyring = keyring(trust).await;
    let client = Arc::new(keyring.client(Arc::new(crate::edge::tls::keyring::AsNode(Arc::clone(&keyring)))).unwrap());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut shaken = 0;
    for case in &cases {
        let Some(shows) = shows(case) else { continue };
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
        let server = builder.with_no_client_auth().with_cert_resolver(shows);
        let (client, _) = shake(
            ClientConnection::new(Arc::clone(&client), name()).unwrap(),
            ServerConnection::new(Arc::new(server)).unwrap(),
        );
        judge(case, case.as_server.or(Some("its id is not the one that was called")), client.as_ref());
        shaken += 1;
    }
    assert!(shaken >= 60, "only {shaken} handshakes");
}

fn judge(case: &Case, expect: Option<&str>, error: Option<&Error>) {
    let Some(expect) = expect else {
        assert_eq!(error, None, "{}", case.name);
        return;
    };
    let error = error.unwrap_or_else(|| panic!("{} was accepted, not refused for {expect:?}", case.name));
    let line = log_text(error);
    assert!(line.len() < 200 && !line.contains('\n'), "{}: {line}", case.name);
    // Where TLS has a word of its own, that word is the reason; otherwise it is ours.
    let spoken = matches!(
        error,
        Error::InvalidCertificate(
            rustls::CertificateError::UnknownIssuer
                | rustls::CertificateError::BadSignature
                | rustls::CertificateError::BadEncoding
                | rustls::CertificateError::Expired
                | rustls::CertificateError::NotValidYet
                | rustls::CertificateError::Revoked
        ) | Error::InvalidMessage(_)
            | Error::NoCertificatesPresented
    );
    assert!(spoken || line.contains(expect), "{}: {line}, not {expect:?}", case.name);
}

#[tokio::test]
async fn a_node_is_known_by_its_id_and_its_name() {
    let root = Authority::root("root");
    let of = |domain: &str| (domain.parse().unwrap(), vec![root.der.clone()]);
    // What is federated with us is trusted for what it is, and answers for none of our names.
    let trust = Trust::new([of("weft.local"), of("partner.example")], &[]).unwrap();
    let keyring = keyring(trust).await;
    let verifier = Verifier::new(
        Arc::new(ArcSwap::new(keyring.trust())),
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms,
    );
    let check = |id: &str, expect: Result<(), Fault>| {
        let (leaf, _) = root.leaf(|leaf| leaf.subject_alt_names = vec![uri(id), dns("mesh.example")]);
        assert_eq!(verifier.verify_server(&leaf, &[], &name(), keyring.now()), expect, "{id}");
    };
    check("spiffe://weft.local/node/n1", Ok(()));
    check("spiffe://weft.local/ns/shop/fn/hello", Err(Fault::OtherId));
    check("spiffe://weft.local/nodes/n1", Err(Fault::OtherId));
    check("spiffe://partner.example/node/n1", Err(Fault::OtherId));
    check("spiffe://elsewhere.example/node/n1", Err(Fault::UnknownTrustDomain));
    let (leaf, _) = root.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://weft.local/node/n1"), dns("a.b")]);
    assert_eq!(verifier.verify_server(&leaf, &[], &name(), keyring.now()), Err(Fault::OtherName));
}

#[tokio::test]
async fn nothing_is_resumed_and_nothing_older_is_spoken() {
    let (trust, _) = cases();
    let config = keyring(trust).await.server(Clients::MustProve, Protocols::Both).unwrap();
    assert_eq!((config.send_tls13_tickets, config.max_early_data_size), (0, 0));
    assert!(!config.ticketer.enabled() && !config.session_storage.can_cache());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(algorithms)));
    let client = builder.with_no_client_auth();
    let (client, server) =
        shake(ClientConnection::new(Arc::new(client), name()).unwrap(), ServerConnection::new(config).unwrap());
    assert_eq!(client, Some(Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)));
    assert!(server.is_some());
}
