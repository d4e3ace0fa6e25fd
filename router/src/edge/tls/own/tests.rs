//! What is shown for which name, and pairs that must not be shown.

use std::time::Duration;

use rustls::pki_types::ServerName;

use super::*;
use crate::edge::tls::authority::Authority;
use crate::edge::tls::mint::{Authority as Mint, NOW, at, now};
use crate::edge::tls::trust::has_name;

fn made() -> Own {
    below("mesh.example")
}

fn below(domain: &str) -> Own {
    let authority = Arc::new(Authority::make(&"weft.local".parse().unwrap(), NOW * 1000).unwrap());
    Own::made(&authority, &"spiffe://weft.local/node/n1".parse().unwrap(), domain, now()).unwrap()
}

#[test]
fn every_name_below_the_domain_gets_a_certificate_that_has_it() {
    let own = made();
    for name in
        ["mesh.example", "hello.mesh.example", "topics.mesh.example", "hello.shop.mesh.example", "A.SHOP.Mesh.example"]
    {
        let shown = own.for_name(Some(name), now());
        assert!(has_name(&shown.cert[0], &ServerName::try_from(name).unwrap()), "{name}");
    }
    let default = own.certificate();
    for name in [None, Some("else.where"), Some("a.b.c.mesh.example"), Some("a.B_.mesh.example"), Some("xmesh.example")]
    {
        assert!(Arc::ptr_eq(&own.for_name(name, now()), &default), "{name:?}");
    }
}

#[test]
fn below_a_domain_of_one_label_every_name_has_its_own() {
    let own = below("localhost");
    for name in ["localhost", "hello.localhost", "topics.localhost", "hello.shop.localhost"] {
        let shown = own.for_name(Some(name), now());
        assert!(has_name(&shown.cert[0], &ServerName::try_from(name).unwrap()), "{name}");
    }
}

#[test]
fn a_namespaces_certificate_is_made_once_and_so_many_are_kept() {
    let own = made();
    let first = own.for_name(Some("a.shop.mesh.example"), now());
    assert!(Arc::ptr_eq(&first, &own.for_name(Some("b.shop.mesh.example"), now())));
    for number in 0..=NAMESPACES_MAX {
        own.for_name(Some(&format!("a.ns-{number}.mesh.example")), now());
    }
    let kept = own.namespaces.as_ref().unwrap().made.lock().unwrap().len();
    assert!(kept <= NAMESPACES_MAX, "{kept}");
}

#[test]
fn pairs_that_must_not_be_shown() {
    let root = Mint::root("root");
    let (leaf, key) = root.leaf(|_| {});
    let (other, other_key) = root.leaf(|leaf| leaf.not_after = at(-1));
    let (spoiled, spoiled_key) = root.leaf(|leaf| leaf.subject_alt_names.clear());
    let der = |key: &KeyPair| -> PrivateKeyDer<'static> { PrivatePkcs8KeyDer::from(key.serialize_der()).into() };
    let check = |leaf: &CertificateDer<'static>, key: PrivateKeyDer<'static>, expect: Option<&str>| {
        let given = Own::given(vec![leaf.clone()], &key, now()).map_err(|error| error.to_string());
        match expect {
            None => assert_eq!(given.unwrap().not_after(), NOW + 3600),
            Some(why) => assert!(given.as_ref().is_err_and(|error| error.contains(why)), "{given:?}"),
        }
    };
    check(&leaf, der(&key), None);
    check(&leaf, der(&other_key), Some("does not belong to the certificate"));
    check(&other, der(&other_key), Some("expired"));
    check(&spoiled, der(&spoiled_key), Some("no SPIFFE id"));
    check(&leaf, PrivatePkcs8KeyDer::from(vec![1, 2, 3]).into(), Some("the key cannot be used"));
    check(&CertificateDer::from(vec![]), der(&key), Some("cannot be read"));
    let later = now().as_secs() + 3601;
    let given = Own::given(vec![leaf], &der(&key), UnixTime::since_unix_epoch(Duration::from_secs(later)));
    assert!(matches!(given, Err(NotOurs::Expired)));
}
