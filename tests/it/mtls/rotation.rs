//! Certificates rotate every second for a minute under load, and nobody notices (threats.md C-06, INV-17): pairs that are
//! half written in between are never shown, and connections go on.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, DistinguishedName, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::time::{Instant, interval};
use weft_tests::Site;
use weft_tests::serve::{DOMAIN, TRUST_DOMAIN};

use super::client::Client;
use super::{CLERK, app};

const ROTATIONS: usize = 60;
const EVERY: Duration = Duration::from_secs(1);

/// Connections that stay, and clients that make one for each request.
const STAYING: usize = 4;
const COMING: usize = 4;

/// Signs node certificates with the site's authority, as some other tool would.
struct Signer(Issuer<'static, KeyPair>);

impl Signer {
    fn of(site: &Site) -> Self {
        let key = PrivateKeyDer::from_pem_file(site.path("ca/ca.key")).expect("the authority's key");
        let root = CertificateDer::from_pem_file(site.path("ca/ca.crt")).expect("the authority's certificate");
        let key = KeyPair::try_from(&key).expect("the authority's key");
        Self(Issuer::from_ca_cert_der(&root, key).expect("an authority"))
    }

    /// A certificate of the node and its key, in PEM.
    fn pair(&self) -> (String, String) {
        let text = |text: &str| Ia5String::try_from(text).expect("a name");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![
            SanType::URI(text(&format!("spiffe://{TRUST_DOMAIN}/node/n1"))),
            SanType::DnsName(text(&format!("*.{DOMAIN}"))),
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", key.serialized_der()))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// What the clients saw.
#[derive(Default)]
struct Seen {
    answers: AtomicUsize,
    over: AtomicBool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_rotate_every_second_for_a_minute_and_no_request_fails() {
    let site = Site::new().await;
    site.guest("echo");
    site.issue("clerk").await;
    let signer = Signer::of(&site);
    let (certificate, key) = signer.pair();
    site.write("node.crt", certificate);
    site.write("node.key", key);
    let node = site.start_with("identity: { files: { cert: node.crt, key: node.key, bundle: ca/bundle.pem } }\n").await;
    node.apply(&app()).await;
    let client = Client::new(node.folder(), "clerk", node.mtls, &format!("echo.{DOMAIN}"));
    let seen = Arc::new(Seen::default());
    let staying: Vec<_> = (0..STAYING).map(|_| tokio::spawn(stay(client.clone(), Arc::clone(&seen)))).collect();
    let coming: Vec<_> = (0..COMING).map(|_| tokio::spawn(come(client.clone(), Arc::clone(&seen)))).collect();

    let (begun, mut ticks) = (Instant::now(), interval(EVERY));
    for _ in 0..ROTATIONS {
        ticks.tick().await;
        // Not at once, and for a moment not even whole: whoever looks in between must not believe it.
        let (certificate, key) = signer.pair();
        fs::write(site.path("node.key"), &key[..key.len() / 2]).expect("half a key");
        site.write("node.crt", certificate);
        tokio::task::yield_now().await;
        site.write("node.key", key);
    }
    ticks.tick().await;
    seen.over.store(true, Ordering::SeqCst);
    for task in staying {
        task.await.expect("a client that stays").expect("no request fails");
    }
    let mut shown = BTreeSet::new();
    for task in coming {
        shown.extend(task.await.expect("a client that comes").expect("no request fails"));
    }
    let answers = seen.answers.load(Ordering::SeqCst);
    assert!(begun.elapsed() >= EVERY * 60, "{:?}", begun.elapsed());
    assert!(answers > 500, "only {answers} answers: that is no load");
    assert!(shown.len() >= ROTATIONS / 2, "only {} of {ROTATIONS} certificates were seen", shown.len());
    node.stop().await;
}

/// Asks again and again on one connection.
async fn stay(client: Client, seen: Arc<Seen>) -> Result<(), String> {
    let mut connection = client.connect().await?;
    while !seen.over.load(Ordering::SeqCst) {
        let answer = connection.get("/").await?;
        assert!(answer.contains(CLERK), "{answer}");
        seen.answers.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Asks on a connection of its own each time; the certificates that it was shown.
async fn come(client: Client, seen: Arc<Seen>) -> Result<BTreeSet<Vec<u8>>, String> {
    let mut shown = BTreeSet::new();
    while !seen.over.load(Ordering::SeqCst) {
        let mut connection = client.connect().await?;
        connection.get("/").await?;
        shown.insert(connection.shown);
        seen.answers.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(shown)
}
