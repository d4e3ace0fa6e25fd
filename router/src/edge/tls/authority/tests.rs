//! The embedded authority: what it makes passes our own rules, and its folder is what the manual says.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration as StdDuration;

use rustls::pki_types::UnixTime;

use super::*;
use crate::edge::tls::bundle;
use crate::edge::tls::fault::Fault;
use crate::edge::tls::mint::NOW;
use crate::edge::tls::svid::Role;
use crate::edge::tls::trust::Trust;

const NOW_MS: u64 = NOW * 1000;

fn ours() -> TrustDomain {
    "weft.local".parse().unwrap()
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(StdDuration::from_secs(seconds))
}

#[test]
fn what_it_makes_is_trusted_for_a_day() {
    let authority = Authority::make(&ours(), NOW_MS).unwrap();
    let trust = Trust::new([(ours(), vec![authority.root().clone()])], &[]).unwrap();
    let clerk = id("spiffe://weft.local/ns/shop/sa/clerk");
    let issued = authority.issue(&clerk, &[], NOW_MS).unwrap();
    for role in [Role::Client, Role::Server] {
        let verdict = |seconds| trust.verify(&issued.chain, role, at(seconds));
        assert_eq!(verdict(NOW).unwrap().id, clerk);
        assert!(verdict(NOW - 59).is_ok(), "for clocks that are late");
        assert_eq!(verdict(NOW - 61), Err(Fault::NotValidYet));
        assert!(verdict(NOW + 24 * 3600).is_ok());
        assert_eq!(verdict(NOW + 24 * 3600 + 1), Err(Fault::Expired));
    }
    let other = authority.issue(&clerk, &[], NOW_MS).unwrap();
    assert_ne!(issued.chain, other.chain, "another key and number each time");
}

#[test]
fn it_makes_nothing_for_another_trust_domain() {
    let authority = Authority::make(&ours(), NOW_MS).unwrap();
    let error = authority.issue(&id("spiffe://else.where/ns/shop/sa/clerk"), &[], NOW_MS).unwrap_err();
    assert!(error.to_string().contains("makes ids of weft.local"), "{error}");
}

#[test]
fn a_folder_is_made_once_and_read_again() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ca");
    let made = files::init(&folder, &ours(), NOW_MS).unwrap();
    let read = files::open(&folder).unwrap();
    assert_eq!((read.root(), read.trust_domain()), (made.root(), &ours()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.join(files::KEY)), 0o600);
    assert_eq!(mode(&folder), 0o700);
    let error = files::init(&folder, &ours(), NOW_MS).err().unwrap().to_string();
    assert!(error.contains("there is an authority") && error.contains("already"), "{error}");
    let bundle = std::fs::read(folder.join(files::BUNDLE)).unwrap();
    assert_eq!(bundle::roots(&bundle).unwrap(), [made.root().clone()]);
    // What it issues after it was read is trusted by who trusted it before.
    let trust = Trust::new([(ours(), vec![made.root().clone()])], &[]).unwrap();
    let issued = read.issue(&id("spiffe://weft.local/ns/a/sa/b"), &[], NOW_MS).unwrap();
    assert!(trust.verify(&issued.chain, Role::Client, at(NOW)).is_ok());

    let out = home.path().join("clerk.v1");
    let (certificate, key) = files::write_issued(&out, &issued).unwrap();
    assert_eq!((certificate, key.clone()), (home.path().join("clerk.v1.crt"), home.path().join("clerk.v1.key")));
    assert_eq!(mode(&key), 0o600);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("a"), home.path().join("b"));
    files::init(&a, &ours(), NOW_MS).unwrap();
    files::init(&b, &ours(), NOW_MS).unwrap();
    let says = |expect: &str| {
        let error = files::open(&a).err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
    };
    std::fs::copy(b.join(files::KEY), a.join(files::KEY)).unwrap();
    says("the authority's key is not that of its certificate");
    std::fs::write(a.join(files::KEY), "no key").unwrap();
    says("no private key in PEM");
    std::fs::write(a.join(files::ROOT), "").unwrap();
    says("the authority's certificate has no certificate");
    std::fs::remove_file(a.join(files::ROOT)).unwrap();
    says("cannot read");
}

#[test]
fn what_is_revoked_stays_revoked() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("ca");
    let authority = files::init(&folder, &ours(), NOW_MS).unwrap();
    let issue = |name: &str| authority.issue(&id(&format!("spiffe://weft.local/ns/a/sa/{name}")), &[], NOW_MS).unwrap();
    let (first, second, third) = (issue("first"), issue("second"), issue("third"));
    for (issued, expect) in [(&first, 1), (&second, 1), (&first, 0)] {
        let text = bundle::pem("CERTIFICATE", &issued.chain[0]);
        assert_eq!(files::revoke(&folder, text.as_bytes(), NOW_MS).unwrap().len(), expect);
    }
    let roots = vec![authority.root().clone()];
    let lists = bundle::lists(&std::fs::read(folder.join(files::LIST)).unwrap(), &roots).unwrap();
    let trust = Trust::new([(ours(), roots)], &lists).unwrap();
    let revoked = [&first, &second, &third].map(|issued| trust.verify(&issued.chain, Role::Client, at(NOW)).is_err());
    assert_eq!(revoked, [true, true, false]);

    let stranger = Authority::make(&ours(), NOW_MS).unwrap();
    let foreign = stranger.issue(&id("spiffe://weft.local/ns/a/sa/b"), &[], NOW_MS).unwrap();
    let text = bundle::pem("CERTIFICATE", &foreign.chain[0]);
    assert!(files::revoke(&folder, text.as_bytes(), NOW_MS).is_err(), "another authority's");
    assert!(files::revoke(&folder, b"", NOW_MS).is_err(), "nothing");
}
