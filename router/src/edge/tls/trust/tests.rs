//! The table of certificates as pure judgements, on both sides.

use super::*;
use crate::edge::tls::mint::cases::cases;
use crate::edge::tls::mint::{Authority, NOW, at, now};

#[test]
fn every_certificate_gets_its_verdict_on_both_sides() {
    let (trust, cases) = cases();
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    for case in &cases {
        for (role, expect) in [(Role::Client, case.as_client), (Role::Server, case.as_server)] {
            let verdict = trust.verify(&case.chain, role, now()).map_err(|fault| fault.to_string());
            match expect {
                None => assert!(verdict.is_ok(), "{} as {role:?}: {verdict:?}", case.name),
                Some(why) => assert!(
                    verdict.as_ref().is_err_and(|fault| fault.contains(why)),
                    "{} as {role:?}: {verdict:?}, not {why:?}",
                    case.name
                ),
            }
        }
    }
}

#[test]
fn what_a_certificate_says_of_its_owner() {
    let root = Authority::root("root");
    let middle = root.below("middle", |ca| ca.not_after = at(600));
    let trust = Trust::new([("weft.local".parse().unwrap(), vec![root.der.clone()])], &[]).unwrap();
    let (leaf, _) = root.leaf(|leaf| leaf.serial_number = Some(vec![0x01, 0xab].into()));
    let certificate = trust.verify(&[leaf], Role::Client, now()).unwrap();
    assert_eq!(certificate.id.as_str(), "spiffe://weft.local/ns/shop/sa/clerk");
    assert_eq!(&*certificate.serial, "01ab");
    assert_eq!(certificate.issuer_key_id.len(), 40);
    assert_eq!(certificate.not_after, NOW + 3600);
    let (leaf, _) = middle.leaf(|_| {});
    let chain = [leaf, middle.der.clone()];
    assert_eq!(trust.verify(&chain, Role::Client, now()).unwrap().not_after, NOW + 600, "it ends with its signer");
    let told = Certificate::of_verified(&chain, Role::Client, now());
    assert_eq!(told, trust.verify(&chain, Role::Client, now()));
    // A certificate that the path does not need says nothing about its end.
    let (leaf, _) = root.leaf(|_| {});
    assert_eq!(trust.verify(&[leaf, middle.der], Role::Client, now()).unwrap().not_after, NOW + 3600);
}

#[test]
fn a_list_that_is_out_of_date_still_revokes() {
    let root = Authority::root("root");
    let (revoked, other) = (root.leaf(|_| {}).0, root.leaf(|_| {}).0);
    let lists = [root.revoke(&[&revoked], -60)];
    let trust = Trust::new([("weft.local".parse().unwrap(), vec![root.der.clone()])], &lists).unwrap();
    assert_eq!(trust.verify(&[revoked], Role::Client, now()), Err(Fault::Revoked));
    assert!(trust.verify(&[other], Role::Client, now()).is_ok());
}

#[test]
fn nobody_is_trusted_without_a_bundle() {
    let (leaf, _) = Authority::root("root").leaf(|_| {});
    assert_eq!(Trust::nobody().verify(&[leaf], Role::Client, now()), Err(Fault::UnknownTrustDomain));
}

#[test]
fn names_of_a_leaf() {
    let root = Authority::root("root");
    let (leaf, _) = root.leaf(|leaf| {
        use crate::edge::tls::mint::dns;
        leaf.subject_alt_names.extend([dns("mesh.example"), dns("*.mesh.example")]);
        leaf.subject_alt_names.push(rcgen::SanType::IpAddress("127.0.0.1".parse().unwrap()));
    });
    for (name, expect) in [
        ("mesh.example", true),
        ("a.mesh.example", true),
        ("A.MESH.example", true),
        ("a.b.mesh.example", false),
        ("example", false),
        ("127.0.0.1", true),
        ("127.0.0.2", false),
    ] {
        assert_eq!(has_name(&leaf, &name.try_into().unwrap()), expect, "{name}");
    }
}
