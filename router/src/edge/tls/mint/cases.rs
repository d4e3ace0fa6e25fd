//! The table of certificates (threats.md C-01 to C-03): each with the verdict on its owner as a client and as a server.
//! It is used twice, as a pure judgement and in real handshakes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose as Eku, GeneralSubtree, IsCa,
    KeyPair, KeyUsagePurpose as Use, NameConstraints,
};
use rustls::pki_types::CertificateDer;

use super::{Authority, ID, at, dns, uri};
use crate::edge::tls::Trust;

/// One row.
pub(in crate::edge::tls) struct Case {
    pub(in crate::edge::tls) name: &'static str,
    pub(in crate::edge::tls) chain: Vec<CertificateDer<'static>>,
    /// The leaf's key, where one can be had.
    pub(in crate::edge::tls) key: Option<KeyPair>,
    /// What the refusal says; `None` is accepted.
    pub(in crate::edge::tls) as_client: Option<&'static str>,
    pub(in crate::edge::tls) as_server: Option<&'static str>,
}

/// Everybody who signs in the table.
struct World {
    root: Authority,
    middle: Authority,
    partner: Authority,
    stranger: Authority,
    cases: Vec<Case>,
}

const NOBODY: &str = "no root of its trust domain's bundle has signed it";

/// The table, and what is trusted in it.
pub(in crate::edge::tls) fn cases() -> (Trust, Vec<Case>) {
    let root = Authority::root("root");
    let mut world = World {
        middle: root.below("middle", |_| {}),
        partner: Authority::root("partner"),
        stranger: Authority::root("root"),
        cases: Vec::new(),
        root,
    };
    world.ids();
    world.leaves();
    world.keys();
    world.signers();
    world.times_and_roots();
    world.broken();
    let (lists, revoked) = world.revoked();
    world.cases.extend(revoked);
    let domains = [
        ("weft.local".parse().unwrap(), vec![world.root.der.clone()]),
        ("partner.example".parse().unwrap(), vec![world.partner.der.clone()]),
    ];
    (Trust::new(domains, &lists).unwrap(), world.cases)
}

impl World {
    /// A leaf of the root's, spoiled by `edit`, that is refused on both sides for the same reason.
    fn both(&mut self, name: &'static str, expect: Option<&'static str>, edit: impl FnOnce(&mut CertificateParams)) {
        let (leaf, key) = self.root.leaf(edit);
        self.chain(name, expect, vec![leaf], Some(key));
    }

    fn chain(
        &mut self,
        name: &'static str,
        expect: Option<&'static str>,
        chain: Vec<CertificateDer<'static>>,
        key: Option<KeyPair>,
    ) {
        self.cases.push(Case { name, chain, key, as_client: expect, as_server: expect });
    }

    fn ids(&mut self) {
        self.both("a plain leaf", None, |_| {});
        self.both("a dns name beside the id", None, |leaf| leaf.subject_alt_names.push(dns("weft.example")));
        self.both("the id as common name only", Some("no SPIFFE id"), |leaf| {
            leaf.subject_alt_names.clear();
            leaf.distinguished_name.push(DnType::CommonName, ID);
        });
        self.both("a dns name only", Some("no SPIFFE id"), |leaf| leaf.subject_alt_names = vec![dns("weft.example")]);
        self.both("two ids", Some("2 URIs"), |leaf| leaf.subject_alt_names.push(uri("spiffe://weft.local/b")));
        self.both("the same id twice", Some("2 URIs"), |leaf| leaf.subject_alt_names.push(uri(ID)));
        self.both("a web address beside the id", Some("2 URIs"), |leaf| {
            leaf.subject_alt_names.insert(0, uri("https://weft.local/ns/shop/sa/clerk"));
        });
        for (name, id) in [
            ("a web address", "https://weft.local/ns/shop/sa/clerk"),
            ("an empty uri", ""),
            ("no path", "spiffe://weft.local"),
            ("an empty path", "spiffe://weft.local/"),
            ("a percent-encoded path", "spiffe://weft.local/ns/shop/sa/cl%65rk"),
            ("an upper-case trust domain", "spiffe://WEFT.local/ns/shop/sa/clerk"),
            ("an upper-case scheme", "SPIFFE://weft.local/ns/shop/sa/clerk"),
            ("a port", "spiffe://weft.local:443/ns/shop/sa/clerk"),
            ("a user", "spiffe://root@weft.local/ns/shop/sa/clerk"),
            ("a query", "spiffe://weft.local/ns/shop/sa/clerk?a"),
            ("a fragment", "spiffe://weft.local/ns/shop/sa/clerk#a"),
            ("a dot segment", "spiffe://weft.local/ns/shop/../shop/sa/clerk"),
            ("an empty segment", "spiffe://weft.local//ns/shop/sa/clerk"),
            ("a slash at the end", "spiffe://weft.local/ns/shop/sa/clerk/"),
            ("a space", "spiffe://weft.local/ns/shop/sa/clerk "),
            ("a zero byte", "spiffe://weft.local/ns/shop/sa/clerk\0"),
            ("a line end", "spiffe://weft.local/ns/shop/sa/clerk\r\nx: y"),
        ] {
            self.both(name, Some("not a SPIFFE id"), |leaf| leaf.subject_alt_names = vec![uri(id)]);
        }
        let longest = format!("spiffe://weft.local/{}", "a".repeat(2048 - 20));
        self.both("an id of 2,048 bytes", None, |leaf| leaf.subject_alt_names = vec![uri(&longest)]);
        let longer = format!("{longest}a");
        self.both("an id of 2,049 bytes", Some("longer than"), |leaf| leaf.subject_alt_names = vec![uri(&longer)]);
        self.both("an id in UTF-8", Some("not a SPIFFE id"), |leaf| {
            names(leaf, &[&tagged(0x86, "spiffe://weft.local/ä")])
        });
        self.both("alternative names twice", Some("malformed or repeated"), |leaf| {
            let copy = CustomExtension::from_oid_content(SAN, sequence(&[&tagged(0x86, ID)]));
            leaf.custom_extensions.push(copy);
        });
    }

    fn leaves(&mut self) {
        let ca = |constraint| IsCa::Ca(constraint);
        self.both("a leaf that says it is no authority", None, |leaf| leaf.is_ca = IsCa::ExplicitNoCa);
        self.both("an authority", Some("the leaf is an authority"), |leaf| {
            leaf.is_ca = ca(BasicConstraints::Unconstrained)
        });
        self.both("an authority without depth", Some("the leaf is an authority"), |leaf| {
            leaf.is_ca = ca(BasicConstraints::Constrained(0));
        });
        self.both("no key usage", Some("no key usage"), |leaf| leaf.key_usages.clear());
        self.both("no digitalSignature", Some("lacks digitalSignature"), |leaf| {
            leaf.key_usages = vec![Use::KeyEncipherment];
        });
        self.both("other key usages beside it", None, |leaf| {
            leaf.key_usages.extend([Use::KeyEncipherment, Use::KeyAgreement]);
        });
        self.both("keyCertSign", Some("keyCertSign or cRLSign"), |leaf| leaf.key_usages.push(Use::KeyCertSign));
        self.both("cRLSign", Some("keyCertSign or cRLSign"), |leaf| leaf.key_usages.push(Use::CrlSign));
        self.both("an unknown extension", None, |leaf| unknown(leaf, false));
        self.both("an unknown critical extension", Some("UnsupportedCriticalExtension"), |leaf| unknown(leaf, true));
        self.purposes("for both sides", None, None, &[Eku::ClientAuth, Eku::ServerAuth]);
        self.purposes("for clients", None, Some("does not allow servers"), &[Eku::ClientAuth]);
        self.purposes("for servers", Some("does not allow clients"), None, &[Eku::ServerAuth]);
        let (client, server) = (Some("does not allow clients"), Some("does not allow servers"));
        self.purposes("for code", client, server, &[Eku::CodeSigning]);
        self.purposes("for anything", client, server, &[Eku::Any]);
    }

    fn purposes(
        &mut self,
        name: &'static str,
        as_client: Option<&'static str>,
        as_server: Option<&'static str>,
        purposes: &[Eku],
    ) {
        let (leaf, key) = self.root.leaf(|leaf| leaf.extended_key_usages = purposes.to_vec());
        self.cases.push(Case { name, chain: vec![leaf], key: Some(key), as_client, as_server });
    }

    fn keys(&mut self) {
        for (name, algorithm) in [
            ("P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
            ("P-521", &rcgen::PKCS_ECDSA_P521_SHA512),
            ("Ed25519", &rcgen::PKCS_ED25519),
            ("RSA 2048", &rcgen::PKCS_RSA_SHA256),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let leaf = self.root.certify(&key, |_| {});
            self.chain(name, None, vec![leaf], Some(key));
        }
        // Public keys that nobody has the other half of.
        for (name, key) in [
            (
                "RSA 1024",
                "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDHiRvt2k7cgyaXzUIEWagi4gaI11gx1iDbz6mIyJSnV4RI1JjY9U3eedSASTkSds4hdQ6/fweZSk7tjoLhodUezijkbUQ4dFkQ8Gw26F1ggUyb0jjXtJFyQiO4JAShgltee82E/hoOzgjZgrqLmvEHYoKtVGMBWGKIsO/7x0R7ewIDAQAB",
            ),
            (
                "P-224",
                "ME4wEAYHKoZIzj0CAQYFK4EEACEDOgAEqDX/58SDIT6Cp0YyW9hCOkfbswY1DERuhoX4CAdgutSIEWl/yums82wHFW9dLFMEPQQYyCXQhQM=",
            ),
            (
                "secp256k1",
                "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEcVmwmPw5iuwSwfO4xeOnS4uu1WUFKgU9yGrfO8RDQPkFRXWsmezRJLdf/A5TQWXPMYksYZl9yqZscnKjVqw4Rw==",
            ),
            ("X25519", "MCowBQYDK2VuAyEAdC1QJFQaR76ECwmboDXfITGiTfjHv8FcdKYTFx00/w8="),
        ] {
            let (leaf, _) = self.root.leaf(|_| {});
            let leaf = with_key(&leaf, &STANDARD.decode(key).unwrap());
            self.chain(name, Some("too weak or of a kind"), vec![leaf], None);
        }
    }

    fn signers(&mut self) {
        let root = self.root.der.clone();
        let (leaf, key) = self.middle.leaf(|_| {});
        let middle = self.middle.der.clone();
        self.chain("an authority between", None, vec![leaf, middle.clone()], Some(key));
        let (leaf, key) = self.middle.leaf(|_| {});
        self.chain("the root sent along", None, vec![leaf, middle.clone(), root], Some(key));
        let (leaf, key) = self.middle.leaf(|_| {});
        self.chain("the authority between left out", Some(NOBODY), vec![leaf], Some(key));
        let lower = self.middle.below("lower", |_| {});
        let (leaf, key) = lower.leaf(|_| {});
        self.chain("two authorities between", None, vec![leaf, lower.der.clone(), middle.clone()], Some(key));
        let (leaf, key) = lower.leaf(|_| {});
        self.chain("two of them in another order", None, vec![leaf, middle, lower.der.clone()], Some(key));
        let last = self.root.below("last", |ca| ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
        let below = last.below("below the last", |_| {});
        let (leaf, key) = below.leaf(|_| {});
        let chain = vec![leaf, below.der, last.der.clone()];
        self.chain("deeper than an authority may", Some("PathLenConstraintViolated"), chain, Some(key));
        let (leaf, key) = last.leaf(|_| {});
        self.chain("as deep as an authority may", None, vec![leaf, last.der], Some(key));
        type Spoil = fn(&mut CertificateParams);
        let spoiled: [(&str, Option<&str>, Spoil); 13] = [
            ("a signer that is no authority", Some("is no authority"), |ca| ca.is_ca = IsCa::ExplicitNoCa),
            ("a signer without basic constraints", Some("is no authority"), |ca| ca.is_ca = IsCa::NoCa),
            ("a signer without keyCertSign", Some("lacks keyCertSign"), |ca| {
                ca.key_usages = vec![Use::DigitalSignature, Use::CrlSign];
            }),
            ("a signer without key usage", Some("no key usage"), |ca| ca.key_usages.clear()),
            ("a signer with its trust domain's id", None, |ca| ca.subject_alt_names = vec![uri("spiffe://weft.local")]),
            ("a signer with another's id", Some("another trust domain"), |ca| {
                ca.subject_alt_names = vec![uri("spiffe://partner.example")];
            }),
            ("a signer with a workload's id", Some("no SPIFFE id of a trust domain"), |ca| {
                ca.subject_alt_names = vec![uri("spiffe://weft.local/ca")];
            }),
            ("a signer with two ids", Some("2 URIs"), |ca| {
                ca.subject_alt_names = vec![uri("spiffe://weft.local"), uri("spiffe://weft.local")];
            }),
            ("a signer that is expired", Some("expired"), |ca| ca.not_after = at(-1)),
            ("a signer that is not valid yet", Some("not valid yet"), |ca| ca.not_before = at(1)),
            ("a signer constrained to uris", Some("NameConstraint"), |ca| ca.custom_extensions.push(uri_constraint())),
            ("a signer constrained to names the leaf lacks not", None, |ca| {
                ca.name_constraints = constraint("example")
            }),
            ("a signer constrained to other names", Some("NameConstraintViolation"), |ca| {
                ca.name_constraints = constraint("else.where");
            }),
        ];
        for (name, expect, spoil) in spoiled {
            let signer = self.root.below("spoiled", spoil);
            let (leaf, key) = signer.leaf(|leaf| leaf.subject_alt_names.push(dns("weft.example")));
            self.chain(name, expect, vec![leaf, signer.der], Some(key));
        }
    }

    fn times_and_roots(&mut self) {
        self.both("expired for a second", Some("expired"), |leaf| leaf.not_after = at(-1));
        self.both("ending this second", None, |leaf| leaf.not_after = at(0));
        self.both("not valid for a second yet", Some("not valid yet"), |leaf| leaf.not_before = at(1));
        self.both("beginning this second", None, |leaf| leaf.not_before = at(0));
        let key = KeyPair::generate().unwrap();
        let own = super::leaf().self_signed(&key).unwrap().der().clone();
        self.chain("self-signed", Some(NOBODY), vec![own], Some(key));
        let partner = uri("spiffe://partner.example/ns/shop/sa/clerk");
        let (leaf, key) = self.partner.leaf(|_| {});
        self.chain("ours, signed by a partner's root", Some(NOBODY), vec![leaf], Some(key));
        let (leaf, key) = self.partner.leaf(|leaf| leaf.subject_alt_names = vec![partner.clone()]);
        self.chain("a partner's", None, vec![leaf], Some(key));
        self.both("a partner's, signed by our root", Some(NOBODY), |leaf| leaf.subject_alt_names = vec![partner]);
        self.both("of a trust domain without bundle", Some("is not trusted here"), |leaf| {
            leaf.subject_alt_names = vec![uri("spiffe://else.where/ns/shop/sa/clerk")];
        });
        self.both("of a trust domain below ours", Some("is not trusted here"), |leaf| {
            leaf.subject_alt_names = vec![uri("spiffe://a.weft.local/ns/shop/sa/clerk")];
        });
        let (leaf, key) = self.stranger.leaf(|_| {});
        self.chain("signed by a stranger with the root's name", Some("does not hold"), vec![leaf], Some(key));
        let (leaf, key) = self.stranger.leaf(|_| {});
        let chain = vec![leaf, self.stranger.der.clone()];
        self.chain("the stranger sent along", Some("does not hold"), chain, Some(key));
    }

    fn broken(&mut self) {
        let (leaf, _) = self.root.leaf(|_| {});
        let mut flipped = leaf.to_vec();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        self.chain("a bit of the signature flipped", Some("does not hold"), vec![flipped.into()], None);
        let mut longer = leaf.to_vec();
        longer.push(0);
        self.chain("a byte behind it", Some("cannot be read"), vec![longer.into()], None);
        let cut = leaf[..leaf.len() - 1].to_vec();
        self.chain("a byte short", Some("cannot be read"), vec![cut.into()], None);
        self.chain("no certificate", Some("cannot be read"), vec![b"hello".to_vec().into()], None);
        self.chain("nothing", Some("cannot be read"), vec![Vec::new().into()], None);
        let chain = vec![leaf.clone(), b"hello".to_vec().into()];
        self.chain("a signer that is no certificate", Some("cannot be read"), chain, None);
        let chain = std::iter::once(leaf.clone()).chain(std::iter::repeat_n(self.middle.der.clone(), 99)).collect();
        self.chain("a hundred certificates", Some("has 100 certificates"), chain, None);
        let big = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1, 1], tagged_bytes(0x04, &vec![0; 1 << 20]));
        let (leaf, _) = self.root.leaf(|leaf| leaf.custom_extensions.push(big));
        self.chain("a megabyte", Some("bytes, at most"), vec![leaf], None);
    }

    /// What the root has revoked, in a list that is up to date and in one that is not.
    fn revoked(&mut self) -> (Vec<rustls::pki_types::CertificateRevocationListDer<'static>>, Vec<Case>) {
        let (leaf, key) = self.root.leaf(|_| {});
        let (late, late_key) = self.root.leaf(|_| {});
        let signer = self.root.below("revoked", |_| {});
        let (below, below_key) = signer.leaf(|_| {});
        let (same, same_key) = self.partner.leaf(|other| {
            other.serial_number = Some(super::serial(&leaf).into());
            other.subject_alt_names = vec![uri("spiffe://partner.example/a")];
        });
        let lists = vec![self.root.revoke(&[&leaf, &signer.der, &late], 3600)];
        let case =
            |name, chain, key, expect| Case { name, chain, key: Some(key), as_client: expect, as_server: expect };
        let revoked = Some("is revoked");
        let cases = vec![
            case("revoked", vec![leaf], key, revoked),
            case("revoked too", vec![late], late_key, revoked),
            case("signed by one that is revoked", vec![below, signer.der], below_key, revoked),
            case("another authority's of the same number", vec![same], same_key, None),
        ];
        (lists, cases)
    }
}

const SAN: &[u64] = &[2, 5, 29, 17];

/// Alternative names as bytes, where rcgen would not write them.
fn names(leaf: &mut CertificateParams, names: &[&[u8]]) {
    leaf.subject_alt_names.clear();
    leaf.custom_extensions.push(CustomExtension::from_oid_content(SAN, sequence(names)));
}

fn unknown(params: &mut CertificateParams, critical: bool) {
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 1, 1], vec![0x05, 0x00]);
    extension.set_criticality(critical);
    params.custom_extensions.push(extension);
}

/// As SPIRE writes them: only this trust domain's URIs.
fn uri_constraint() -> CustomExtension {
    let subtrees = tagged_bytes(0xa0, &sequence(&[&tagged(0x86, "weft.local")]));
    let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 30], sequence(&[&subtrees]));
    extension.set_criticality(true);
    extension
}

fn constraint(name: &str) -> Option<NameConstraints> {
    let permitted_subtrees = vec![GeneralSubtree::DnsName(name.to_owned())];
    Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() })
}

/// The certificate with another public key; its signature no longer holds, which is asked after the key.
fn with_key(leaf: &CertificateDer<'_>, key: &[u8]) -> CertificateDer<'static> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).unwrap();
    let body = parsed.tbs_certificate.as_ref();
    let old = parsed.public_key().raw;
    let at = body.windows(old.len()).position(|window| window == old).unwrap();
    // The tag and the length of more than 255 bytes take four.
    let content = [&body[4..at], key, &body[at + old.len()..]].concat();
    let rest = &leaf[leaf.len() - (leaf.len() - 4 - body.len())..];
    sequence(&[&sequence(&[&content]), rest]).into()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tagged_bytes(0x30, &parts.concat())
}

fn tagged(tag: u8, text: &str) -> Vec<u8> {
    tagged_bytes(tag, text.as_bytes())
}

/// DER: a tag, a length, the content.
fn tagged_bytes(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let bytes = length.to_be_bytes();
    let digits = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1)..];
    let mut der = vec![tag];
    if length < 0x80 {
        der.push(length as u8);
    } else {
        der.push(0x80 | digits.len() as u8);
        der.extend_from_slice(digits);
    }
    der.extend_from_slice(content);
    der
}
