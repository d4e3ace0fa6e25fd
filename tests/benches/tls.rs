//! The TLS of the benchmarks: the bare server's side of it, with the settings of a node (TLS 1.3 alone, rustls's suites on
//! aws-lc-rs, a client's certificate required, nothing resumed), the clients' side for both, and a token.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, KeyPair, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::TlsConnector;

use crate::wire::Door;

/// Files of the bare server, in the site's folder.
const CERT: &str = "bare.der";
const KEY: &str = "bare.key.der";
/// What clients and servers trust beside it.
const BUNDLE: &str = "ca/bundle.pem";

/// Makes a certificate for the bare server under the name `host`.
pub(crate) fn make(folder: &Path, host: &str) {
    let key = KeyPair::generate().expect("a key");
    let cert = CertificateParams::new([host.to_owned()]).expect("a name").self_signed(&key).expect("a certificate");
    std::fs::write(folder.join(CERT), cert.der()).expect("a file");
    std::fs::write(folder.join(KEY), key.serialize_der()).expect("a file");
}

/// What the bare server speaks.
pub(crate) fn server(folder: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(folder)), Arc::clone(&provider));
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).expect("TLS 1.3");
    let builder = builder.with_client_cert_verifier(clients.build().expect("a verifier"));
    let (cert, key) = (own(folder), std::fs::read(folder.join(KEY)).expect("a key"));
    let mut config = builder.with_single_cert(vec![cert], PrivatePkcs8KeyDer::from(key).into()).expect("a pair");
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

/// The way of the client `name`, whom the site's authority knows, to a server at `addr`.
pub(crate) fn door(folder: &Path, name: &str, addr: SocketAddr, host: &str) -> Door {
    let chain = CertificateDer::pem_file_iter(folder.join(format!("{name}.crt"))).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).expect("a key");
    let mut roots = roots(folder);
    roots.add(own(folder)).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]).expect("TLS 1.3");
    let chain = chain.collect::<Result<_, _>>().expect("a certificate");
    let config = builder.with_root_certificates(roots).with_client_auth_cert(chain, key).expect("a pair");
    let host = ServerName::try_from(host.to_owned()).expect("a name");
    Door { addr, tls: Some((TlsConnector::from(Arc::new(config)), host)) }
}

fn own(folder: &Path) -> CertificateDer<'static> {
    std::fs::read(folder.join(CERT)).expect("a certificate").into()
}

fn roots(folder: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(folder.join(BUNDLE)).expect("a bundle") {
        roots.add(root.expect("a root")).expect("a root");
    }
    roots
}

/// A token of the issuer `iss` for the audience `weft` that is good for years, and the issuer's key set.
pub(crate) fn token(iss: &str) -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let claims = format!(r#"{{"iss":"{iss}","sub":"ann","aud":"weft","exp":4000000000,"iat":1700000000}}"#);
    let signed = format!("{}.{}", encode(br#"{"alg":"EdDSA","kid":"a"}"#), encode(claims.as_bytes()));
    let signature = encode(&key.sign(signed.as_bytes()).expect("a signature"));
    let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"a","x":"{}"}}]}}"#, encode(key.der_bytes()));
    (format!("{signed}.{signature}"), keys)
}
