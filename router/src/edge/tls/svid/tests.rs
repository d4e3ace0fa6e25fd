//! The vectors of spiffe/go-spiffe: a file's name says its defect.

use super::*;
use crate::edge::tls::bundle;
use crate::edge::tls::mint::vector;

#[test]
fn vectors_of_svids_get_their_verdict() {
    let check = |name: &str, expect: Result<&str, Option<&str>>| {
        let Some(bytes) = vector(&format!("svid_x509svid_testdata_{name}")) else { return };
        let chain = match bundle::certificates(&bytes) {
            Ok(chain) if !chain.is_empty() => chain,
            Ok(_) | Err(_) => return assert_eq!(expect, Err(None), "{name} cannot be read as PEM"),
        };
        for role in [Role::Client, Role::Server] {
            let read = read(&chain, role).map(|svid| svid.id.to_string()).map_err(|fault| fault.to_string());
            match expect {
                Ok(id) => assert_eq!(read.as_deref(), Ok(id), "{name}"),
                Err(why) => assert!(read.as_ref().is_err_and(|fault| fault.contains(why.unwrap())), "{name}: {read:?}"),
            }
        }
    };
    check("good-leaf-and-intermediate.pem", Ok("spiffe://example.org/workload-1"));
    check("good-leaf-only.pem", Ok("spiffe://example.org/workload-1"));
    check("corrupt-cert.pem", Err(Some("cannot be read")));
    check("not-pem", Err(None));
    check("wrong-intermediate-no-ca.pem", Err(Some("a signing certificate is no authority")));
    check("wrong-intermediate-no-key-cert-sign.pem", Err(Some("lacks keyCertSign")));
    check("wrong-leaf-ca-true.pem", Err(Some("the leaf is an authority")));
    check("wrong-leaf-cert-sign.pem", Err(Some("keyCertSign or cRLSign")));
    check("wrong-leaf-crl-sign.pem", Err(Some("keyCertSign or cRLSign")));
    check("wrong-leaf-empty-id.pem", Err(Some("no SPIFFE id")));
    // It has neither digitalSignature nor may it sign: either is a reason.
    check("wrong-leaf-no-digital-signature.pem", Err(Some("keyCertSign or cRLSign")));
}

#[test]
fn bits_of_a_modulus() {
    for (number, expect) in [(&[][..], 0), (&[0], 0), (&[1], 1), (&[0, 0x80], 8), (&[1, 0], 9), (&[0, 0xff, 0, 0], 24)]
    {
        assert_eq!(bits(number), expect, "{number:?}");
    }
}
