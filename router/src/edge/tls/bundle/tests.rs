//! Bundles and lists, good and bad; the vectors of spiffe/go-spiffe.

use super::*;
use crate::edge::tls::mint::{Authority, vector};

#[test]
fn vectors_of_bundles_get_their_verdict() {
    let check = |name: &str, expect: Result<usize, &str>| {
        let Some(bytes) = vector(name) else { return };
        let read = roots(&bytes).map(|roots| roots.len()).map_err(|error| error.to_string());
        match expect {
            Ok(count) => assert_eq!(read, Ok(count), "{name}"),
            Err(why) => assert!(read.as_ref().is_err_and(|error| error.contains(why)), "{name}: {read:?}"),
        }
    };
    // go-spiffe's two certificates are no authorities: it reads bundles without looking. Nothing can end in them.
    check("bundle_x509bundle_testdata_cert.pem", Err("is not one that may sign"));
    check("bundle_x509bundle_testdata_certs.pem", Err("is not one that may sign"));
    check("bundle_x509bundle_testdata_corrupted.pem", Err("is not one that may sign"));
    check("bundle_x509bundle_testdata_empty.pem", Err("has no certificate"));
    check("bundle_x509bundle_testdata_not-pem.pem", Err("has no certificate"));
    check("bundle_spiffebundle_testdata_spiffebundle_valid_1.json", Ok(1));
    check("bundle_spiffebundle_testdata_spiffebundle_valid_2.json", Ok(1));
    check("bundle_spiffebundle_testdata_spiffebundle_valid_with_wit.json", Ok(1));
    check("bundle_spiffebundle_testdata_spiffebundle_missing_kid.json", Err("has no kid"));
    check("bundle_spiffebundle_testdata_spiffebundle_multiple_x509.json", Err("exactly one certificate"));
    check("bundle_spiffebundle_testdata_spiffebundle_no_keys.json", Err("is not a SPIFFE bundle"));
    // Key sets for tokens: none of their keys is for X.509.
    check("bundle_jwtbundle_testdata_jwks_valid_1.json", Err("no SPIFFE bundle with an x509-svid key"));
    check("bundle_jwtbundle_testdata_jwks_valid_2.json", Err("no SPIFFE bundle with an x509-svid key"));
    check("bundle_jwtbundle_testdata_jwks_missing_kid.json", Err("no SPIFFE bundle with an x509-svid key"));
}

#[test]
fn roots_in_pem() {
    let (a, b) = (Authority::root("a"), Authority::root("b"));
    let (leaf, _) = a.leaf(|_| {});
    let both = format!("{}{}", pem("CERTIFICATE", &a.der), pem("CERTIFICATE", &b.der));
    assert_eq!(roots(both.as_bytes()).unwrap(), [a.der.clone(), b.der.clone()]);
    let check = |text: &str, expect: BadBundle| assert_eq!(roots(text.as_bytes()), Err(expect), "{text}");
    check("", BadBundle::Empty);
    check(&both[..both.len() - 40], BadBundle::Pem);
    check(&format!("{both}{}", pem("CERTIFICATE", &leaf)), BadBundle::NotARoot(3));
    check(&pem("CERTIFICATE", &a.der).repeat(ROOTS_MAX + 1), BadBundle::TooMany(ROOTS_MAX));
}

#[test]
fn revocation_lists() {
    let (root, other) = (Authority::root("root"), Authority::root("other"));
    let impostor = Authority::root("root");
    let (leaf, _) = root.leaf(|_| {});
    let list = |authority: &Authority| authority.revoke(&[&leaf], 60);
    let trusted = [root.der.clone()];
    let read = |bytes: &[u8]| lists(bytes, &trusted).map(|lists| lists.len());
    let good = pem("X509 CRL", &list(&root));
    assert_eq!(read(good.as_bytes()), Ok(1));
    assert_eq!(read(good.repeat(2).as_bytes()), Ok(2));
    assert_eq!(read(&list(&root)), Ok(1), "in DER");
    assert_eq!(read(b""), Ok(0));
    assert_eq!(read(b"\n \n"), Ok(0));
    assert_eq!(read(pem("X509 CRL", &list(&other)).as_bytes()), Ok(1), "an authority that is no root here");
    assert_eq!(read(&root.revoke(&[&leaf], -60)), Ok(1), "one that is out of date");
    assert_eq!(read(b"hello"), Err(BadBundle::Pem));
    assert_eq!(read(&good.as_bytes()[..good.len() - 30]), Err(BadBundle::Pem));
    assert_eq!(read(good.repeat(LISTS_MAX + 1).as_bytes()), Err(BadBundle::TooMany(LISTS_MAX)));
    let forged = format!("{good}{}", pem("X509 CRL", &list(&impostor)));
    assert_eq!(read(forged.as_bytes()), Err(BadBundle::ListSignature(2)));
    let mute = root.below("root", |ca| ca.key_usages.retain(|usage| *usage != rcgen::KeyUsagePurpose::CrlSign));
    assert_eq!(lists(&list(&root), &[mute.der]).map(|lists| lists.len()), Err(BadBundle::ListSignature(1)));
}

/// C-03, RUSTSEC-2026-0104: whatever a list holds, reading it ends in an answer.
#[test]
fn mutated_lists_never_panic() {
    let root = Authority::root("root");
    let leaves: Vec<_> = (0..4).map(|_| root.leaf(|_| {}).0).collect();
    let list = root.revoke(&leaves.iter().collect::<Vec<_>>(), 60);
    let trusted = [root.der.clone()];
    // Only another authority's name is as good: then it is the list of somebody who is no root here.
    let (_, parsed) = CertificateRevocationList::from_der(&list).unwrap();
    let name = parsed.issuer().as_raw();
    let begins = list.windows(name.len()).position(|window| window == name).unwrap();
    for at in 0..list.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = list.to_vec();
            bytes[at] ^= flip;
            let taken = lists(&bytes, &trusted).is_ok_and(|lists| !lists.is_empty());
            assert!(!taken || (begins..begins + name.len()).contains(&at), "byte {at} flipped by {flip:#x}");
        }
        assert!(lists(&list[..at], &trusted).is_ok_and(|lists| lists.is_empty()) == (at == 0), "cut at {at}");
    }
}
