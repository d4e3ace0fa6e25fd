//! Callers with certificates of a site's authority. The certificates are made by `openssl`: `weft ca issue` makes those
//! of clients only, and a test may want to be any workload.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Site;
use crate::client::{self, Answer, Ask};

/// Somebody with a certificate.
#[derive(Clone)]
pub struct Workload {
    /// The SPIFFE id.
    pub id: String,
    tls: TlsConnector,
}

impl Site {
    /// A workload with a certificate for this id, such as `spiffe://weft.local/ns/shop/fn/cart`.
    pub fn mint(&self, id: &str) -> Workload {
        let stem: String = id.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let file = |end: &str| self.path(&format!("{stem}{end}"));
        let (asked, certificate, key) = (file(".cnf"), file(".crt"), file(".key"));
        std::fs::write(&asked, wanted(id)).expect("openssl's settings");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-days", "1", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        openssl.arg("-config").arg(asked).arg("-CA").arg(self.path("ca/ca.crt"));
        openssl.arg("-CAkey").arg(self.path("ca/ca.key")).arg("-keyout").arg(&key).arg("-out").arg(&certificate);
        run(openssl);
        let tls = TlsConnector::from(Arc::new(config(&self.path("ca/bundle.pem"), &certificate, &key)));
        Workload { id: id.to_owned(), tls }
    }
}

impl Workload {
    /// Sends a request over a TLS connection of its own, which is opened for the request's host, and reads the answer.
    pub async fn ask(&self, to: SocketAddr, host: &str, ask: Ask) -> Answer {
        let socket = TcpStream::connect(to).await.unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"));
        let name = ServerName::try_from(host.to_owned()).expect("a host's name");
        let stream = self.tls.connect(name, socket).await.unwrap_or_else(|error| panic!("no TLS with {host}: {error}"));
        let answer = client::send_on(stream, ask.host(host)).await;
        answer.unwrap_or_else(|error| panic!("{host} gave {} no answer: {error}", self.id))
    }
}

/// Runs a command of openssl to its end and gives what it wrote.
///
/// # Panics
/// It is not there, or fails.
pub fn run(mut command: Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| panic!("cannot run openssl: {error}; run tests/run"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What `openssl req` is to make: a leaf by SPIFFE's rules.
fn wanted(id: &str) -> String {
    format!(
        "[req]\ndistinguished_name = name\nx509_extensions = leaf\nprompt = no\n[name]\nO = weft\n[leaf]\n\
         basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth\n\
         authorityKeyIdentifier = keyid\nsubjectAltName = URI:{id}\n"
    )
}

/// TLS of a client that trusts the authorities in `bundle` and shows a certificate; all three are files in PEM.
///
/// # Panics
/// One of them cannot be read, or the key is another certificate's.
pub fn config(bundle: &Path, certificate: &Path, key: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(bundle));
    let key = PrivateKeyDer::from_pem_file(key).expect("a key in PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(certificate), key)
        .expect("a certificate with its key")
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    read.unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
