//! Each source: what it starts with, what it renews, and what it keeps when something bad comes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout};

use super::workload_api::agent::{Agent, Says, field};
use super::*;
use crate::edge::tls::Fault;
use crate::edge::tls::authority::files as folder;
use crate::edge::tls::bundle::pem;
use crate::edge::tls::mint::{Authority, NOW, at, uri};
use crate::edge::tls::svid::Role;
use crate::targets::mesh_tls::MeshTls;

/// A clock that a test moves.
#[derive(Default)]
struct Moved(AtomicU64);

impl Clock for Moved {
    fn now_ms(&self) -> u64 {
        NOW * 1000 + self.0.load(Ordering::SeqCst)
    }
}

fn node() -> Node {
    Node {
        trust_domain: "weft.local".parse().unwrap(),
        domain: "mesh.example".to_owned(),
        id: "spiffe://weft.local/node/n1".parse().unwrap(),
    }
}

/// A supply that runs, and ends with this.
struct Running {
    keyring: Arc<Keyring>,
    outbound: Arc<Outbound>,
    clock: Arc<Moved>,
    shutdown: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn run(source: &Source) -> Result<Running, String> {
    let clock = Arc::new(Moved::default());
    let supply = Supply::open(source, &node(), clock.clone()).await.map_err(|error| error.to_string())?;
    let (keyring, outbound, shutdown) = (supply.keyring(), supply.outbound(), CancellationToken::new());
    tokio::spawn(supply.run(shutdown.clone()));
    Ok(Running { keyring, outbound, clock, shutdown })
}

/// Waits until it is so.
async fn eventually(what: &str, so: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(10), async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never {what}"));
}

impl Running {
    fn shown(&self) -> CertificateDer<'static> {
        self.keyring.own().unwrap().certificate().cert[0].clone()
    }

    fn verdict(&self, leaf: &CertificateDer<'static>) -> Result<(), Fault> {
        self.keyring.trust().verify(std::slice::from_ref(leaf), Role::Client, self.keyring.now()).map(drop)
    }
}

/// Files of a pair, a bundle and a list.
struct Home {
    folder: tempfile::TempDir,
    files: Files,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = Files { cert: path("n.crt"), key: path("n.key"), bundle: path("b.pem"), crl: Some(path("c.pem")) };
        Self { folder, files }
    }

    fn write(&self, path: &Path, text: impl AsRef<[u8]>) {
        let beside = self.folder.path().join("new");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, path).unwrap();
    }

    fn bundle(&self, roots: &[&Authority]) {
        let text: String = roots.iter().map(|root| pem("CERTIFICATE", &root.der)).collect();
        self.write(&self.files.bundle, text);
    }

    fn list(&self, root: &Authority, leaves: &[&CertificateDer<'_>]) {
        self.write(self.files.crl.as_ref().unwrap(), pem("X509 CRL", &root.revoke(leaves, 60)));
    }

    fn pair(&self, leaf: &CertificateDer<'_>, key: &KeyPair) {
        self.write(&self.files.cert, pem("CERTIFICATE", leaf));
        self.write(&self.files.key, pem("PRIVATE KEY", key.serialized_der()));
    }

    fn source(&self) -> Source {
        Source::Files(self.files.clone())
    }
}

fn node_leaf(root: &Authority) -> (CertificateDer<'static>, KeyPair) {
    root.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://weft.local/node/n1")])
}

#[tokio::test]
async fn files_are_renewed_and_what_is_bad_changes_nothing() {
    let (home, root) = (Home::new(), Authority::root("root"));
    let (first, first_key) = node_leaf(&root);
    home.pair(&first, &first_key);
    home.bundle(&[&root]);
    home.list(&root, &[]);
    let running = run(&home.source()).await.unwrap();
    assert_eq!(running.shown(), first);

    // Half a pair: the certificate of the next, the key of the last.
    let (second, second_key) = node_leaf(&root);
    home.write(&home.files.cert, pem("CERTIFICATE", &second));
    for bad in ["", "-----BEGIN CERTIFICATE-----\nMIIB", "hello"] {
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert_eq!(running.shown(), first);
        home.write(&home.files.cert, bad);
    }
    home.write(&home.files.key, "");
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert_eq!(running.shown(), first);
    home.pair(&second, &second_key);
    eventually("the second certificate", || running.shown() == second).await;
    let (foreign, foreign_key) = root.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://else.where/node/n1")]);
    home.pair(&foreign, &foreign_key);
    std::fs::remove_file(&home.files.key).unwrap();
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert_eq!(running.shown(), second);
}

#[tokio::test]
async fn lists_and_bundles_are_taken_within_five_seconds_and_bad_ones_never() {
    let (home, root) = (Home::new(), Authority::root("root"));
    let (own, key) = node_leaf(&root);
    home.pair(&own, &key);
    home.bundle(&[&root]);
    home.list(&root, &[]);
    let running = run(&home.source()).await.unwrap();
    let (bad, good) = (root.leaf(|_| {}).0, root.leaf(|_| {}).0);
    assert_eq!((running.verdict(&bad), running.verdict(&good)), (Ok(()), Ok(())));
    let begun = Instant::now();
    home.list(&root, &[&bad]);
    eventually("revoked", || running.verdict(&bad) == Err(Fault::Revoked)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // What was revoked stays so, whatever becomes of the file.
    let list = home.files.crl.clone().unwrap();
    let impostor = Authority::root("root").revoke(&[], 60);
    for text in ["", "hello", &pem("X509 CRL", &impostor), "-----BEGIN X509 CRL-----\nMIIB"] {
        if text.is_empty() {
            std::fs::remove_file(&list).unwrap();
        } else {
            home.write(&list, text);
        }
        tokio::time::sleep(LOOK_EVERY * 2).await;
        assert_eq!((running.verdict(&bad), running.verdict(&good)), (Err(Fault::Revoked), Ok(())), "{text}");
    }
    home.write(&home.files.bundle, "");
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert_eq!(running.verdict(&good), Ok(()));
    // A root follows another.
    let next = Authority::root("next");
    let (new, _) = next.leaf(|_| {});
    home.list(&root, &[&bad]);
    home.bundle(&[&root, &next]);
    eventually("trusted", || running.verdict(&new) == Ok(())).await;
    assert_eq!((running.verdict(&good), running.verdict(&bad)), (Ok(()), Err(Fault::Revoked)));
    home.bundle(&[&next]);
    eventually("distrusted", || running.verdict(&good) == Err(Fault::UnknownIssuer)).await;
}

#[tokio::test]
async fn a_node_does_not_start_with_what_is_bad() {
    let (home, root) = (Home::new(), Authority::root("root"));
    let check = async |expect: &str| {
        let error = run(&home.source()).await.err().unwrap_or_default();
        assert!(error.contains(expect), "{error:?}, not {expect:?}");
    };
    check("cannot read").await;
    let (own, key) = node_leaf(&root);
    home.pair(&own, &key);
    check("b.pem: entity not found").await;
    home.bundle(&[&root]);
    check("c.pem: entity not found").await;
    home.list(&Authority::root("root"), &[]);
    check("is not signed by the authority it names").await;
    home.list(&root, &[]);
    home.write(&home.files.key, pem("PRIVATE KEY", KeyPair::generate().unwrap().serialized_der()));
    check("does not belong to the certificate").await;
    let (client, key) = root.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://else.where/node/n1")]);
    home.pair(&client, &key);
    check("the node's trust domain is weft.local").await;
    home.pair(&own, &key);
    check("does not belong").await;
}

#[tokio::test]
async fn an_authority_renews_at_half_of_a_certificates_life() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca");
    let error = run(&Source::Authority(path.clone())).await.err().unwrap();
    assert!(error.contains("weft ca init --dir"), "{error}");
    folder::init(&path, &node().trust_domain, NOW * 1000).unwrap();
    let running = run(&Source::Authority(path.clone())).await.unwrap();
    let first = running.shown();
    assert_eq!(running.keyring.own().unwrap().id(), &node().id);
    let half = LOOK_EVERY * 2;
    running.clock.0.store(12 * 3600 * 1000 - 1000, Ordering::SeqCst);
    tokio::time::sleep(half).await;
    assert_eq!(running.shown(), first);
    running.clock.0.store(12 * 3600 * 1000, Ordering::SeqCst);
    eventually("renewed", || running.shown() != first).await;
    assert_eq!(running.keyring.own().unwrap().not_after(), NOW + 36 * 3600);

    // What the authority revokes is in force without anybody's doing.
    let clerk = "spiffe://weft.local/ns/a/sa/clerk".parse().unwrap();
    let issued = folder::open(&path).unwrap().issue(&clerk, &[], running.clock.now_ms()).unwrap();
    let leaf = issued.chain[0].clone();
    assert_eq!(running.verdict(&leaf), Ok(()));
    folder::revoke(&path, pem("CERTIFICATE", &leaf).as_bytes(), running.clock.now_ms()).unwrap();
    eventually("revoked", || running.verdict(&leaf) == Err(Fault::Revoked)).await;
}

/// A list that nobody renews goes on revoking what it names; that it is old is said again and again.
#[tokio::test]
async fn what_is_old_is_complained_about() {
    let (home, root) = (Home::new(), Authority::root("root"));
    let (own, key) = root.leaf(|leaf| {
        leaf.subject_alt_names = vec![uri("spiffe://weft.local/node/n1")];
        leaf.not_after = at(7_200);
    });
    home.pair(&own, &key);
    home.bundle(&[&root]);
    let revoked = root.leaf(|_| {}).0;
    home.list(&root, &[&revoked]);
    let running = run(&home.source()).await.unwrap();
    // The list is due after a minute, and the certificate ends after two hours.
    for (seconds, expect) in [(-1, &[][..]), (60, &[]), (61, &["list"]), (3_601, &["certificate ends", "list"])] {
        let complaints = complaints(&running.keyring, NOW.saturating_add_signed(seconds));
        let about = |(complaint, what): (&String, &&str)| complaint.contains(what);
        assert!(
            complaints.len() == expect.len() && complaints.iter().zip(expect).all(about),
            "{seconds}: {complaints:?}"
        );
    }
    running.clock.0.store(120_000, Ordering::SeqCst);
    assert_eq!(running.verdict(&revoked), Err(Fault::Revoked));
    assert_eq!(running.verdict(&own), Ok(()), "and nobody else is shut out");
}

#[tokio::test]
async fn a_workload_gets_a_certificate_of_its_own_only_from_an_authority() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("ca");
    folder::init(&path, &node().trust_domain, NOW * 1000).unwrap();
    let running = run(&Source::Authority(path)).await.unwrap();
    let function: SpiffeId = "spiffe://weft.local/ns/shop/fn/hello".parse().unwrap();
    let settings = running.outbound.client_config(&function).unwrap();
    assert!(Arc::ptr_eq(&settings, &running.outbound.client_config(&function).unwrap()), "made once");
    let shown = || settings.client_auth_cert_resolver.resolve(&[], &[]).unwrap().cert[0].clone();
    let first = shown();
    let verified =
        running.keyring.trust().verify(std::slice::from_ref(&first), Role::Client, running.keyring.now()).unwrap();
    assert_eq!(verified.id, function);
    assert_eq!(shown(), first, "kept");
    running.clock.0.store(12 * 3600 * 1000, Ordering::SeqCst);
    assert_ne!(shown(), first, "renewed at half of its life");

    let (home, root) = (Home::new(), Authority::root("root"));
    let (own, key) = node_leaf(&root);
    home.pair(&own, &key);
    home.bundle(&[&root]);
    home.list(&root, &[]);
    let running = run(&home.source()).await.unwrap();
    let settings = running.outbound.client_config(&function).unwrap();
    assert_eq!(settings.client_auth_cert_resolver.resolve(&[], &[]).unwrap().cert[0], own);
}

/// An update of the Workload API, written by the standard's field numbers.
fn update(
    leaf: &CertificateDer<'_>,
    key: &KeyPair,
    roots: &[&Authority],
    lists: &[Vec<u8>],
    partner: Option<&Authority>,
) -> Says {
    let bundle: Vec<u8> = roots.iter().flat_map(|root| root.der.to_vec()).collect();
    let svid = [
        field(1, b"spiffe://weft.local/node/n1"),
        field(2, leaf),
        field(3, key.serialized_der()),
        field(4, &bundle),
        field(5, b"internal"),
    ];
    let mut message = field(1, &svid.concat());
    for list in lists {
        message.extend(field(2, list));
    }
    if let Some(partner) = partner {
        let entry = [field(1, b"spiffe://partner.example"), field(2, &partner.der)].concat();
        message.extend(field(3, &entry));
    }
    // A field of a later version is passed over.
    message.extend(field(9, b"later"));
    Says::Update(message)
}

#[tokio::test]
async fn the_workload_api_brings_everything_and_renews_it() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("agent.sock");
    let (root, partner) = (Authority::root("root"), Authority::root("partner"));
    let (first, key) = node_leaf(&root);
    let agent = Agent::start(&socket, update(&first, &key, &[&root], &[], Some(&partner)));
    let running = run(&Source::WorkloadApi(socket.clone())).await.unwrap();
    assert_eq!(running.shown(), first);
    let expect = ("/SpiffeWorkloadAPI/FetchX509SVID".to_owned(), Some("true".to_owned()));
    assert_eq!(*agent.asked.lock().unwrap(), [expect]);
    let (ours, _) = root.leaf(|_| {});
    let (theirs, _) = partner.leaf(|leaf| leaf.subject_alt_names = vec![uri("spiffe://partner.example/a")]);
    assert_eq!((running.verdict(&ours), running.verdict(&theirs)), (Ok(()), Ok(())));

    let (second, second_key) = node_leaf(&root);
    agent.say(update(&second, &second_key, &[&root], &[root.revoke(&[&ours], 60).to_vec()], None));
    eventually("the second certificate", || running.shown() == second).await;
    assert_eq!(running.verdict(&ours), Err(Fault::Revoked));
    assert_eq!(running.verdict(&theirs), Err(Fault::UnknownTrustDomain));

    // What is bad changes nothing, and an agent that is gone is waited for.
    let (third, third_key) = node_leaf(&root);
    agent.say(update(&third, &key, &[&root], &[], None));
    agent.say(Says::Update(b"\xff\xff\xff".to_vec()));
    tokio::time::sleep(LOOK_EVERY).await;
    assert_eq!(running.shown(), second);
    drop(agent);
    let _agent = Agent::start(&socket, update(&third, &third_key, &[&root], &[], None));
    eventually("the third certificate", || running.shown() == third).await;
    assert_eq!(running.verdict(&ours), Ok(()), "an update is the whole state");
}

#[tokio::test]
async fn a_workload_api_without_an_identity_is_said() {
    let home = tempfile::tempdir().unwrap();
    let socket = home.path().join("agent.sock");
    let check = async |expect: &str| {
        let error = run(&Source::WorkloadApi(socket.clone())).await.err().unwrap_or_default();
        assert!(error.contains(expect), "{error:?}, not {expect:?}");
    };
    check("cannot connect").await;
    let agent = Agent::start(&socket, Says::Status(7));
    check("refused the call with status 7: no identity issued").await;
    agent.say(Says::Update(Vec::new()));
    check("nothing is registered").await;
}
