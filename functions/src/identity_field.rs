//! Names of fields in which others say who somebody is. The router removes what arrives in them, wherever it arrives
//! (`threats.md` C-09, F-09), and the language of policies refuses conditions on them, which would never hold: one table
//! for both.

/// What only the mesh sets.
const OURS: &str = "x-weft-";

/// By what a header's name begins that asserts an identity, in lower case and with `-` for whatever is neither a letter
/// nor a digit.
const PREFIXES: [&str; 17] = [
    OURS,
    "x-mesh-",
    "x-forwarded-",          // proxies: client address, client certificate, user
    "x-original-forwarded-", // nginx ingress
    "x-envoy-",              // Envoy: addresses, peer metadata
    "x-spiffe-",
    "l5d-",                  // Linkerd
    "x-goog-authenticated-", // Google's identity-aware proxy
    "x-auth-request-",       // oauth2-proxy
    "x-authenticated-",
    "x-remote-", // Kubernetes' front proxy: user, group, extra
    "x-webauth-",
    "x-ms-client-principal",  // Azure's easy auth
    "x-amzn-mtls-clientcert", // AWS's load balancer
    "x-ssl-client-",
    "ssl-client-",
    "x-client-cert",
];

/// Names that assert an identity, spelled as [`PREFIXES`].
const NAMES: [&str; 12] = [
    "forwarded",   // RFC 7239
    "client-cert", // RFC 9440
    "client-cert-chain",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "remote-user",
    "remote-addr",
];

/// What attributes of ours begin with, and the one of them that a publisher may set.
const OUR_ATTRIBUTES: &str = "weft";
const CLIENT_ATTRIBUTE: &str = "weftdelivernotbefore";

/// CloudEvents' "Auth Context" extension: who caused an event, in its producer's words.
const AUTH_CONTEXT: [&str; 3] = ["authtype", "authid", "authclaims"];

/// Whether a header of this name asserts an identity. Readers that follow CGI take `_` and some also `.` for `-`.
pub fn is_identity(name: &str) -> bool {
    // Most headers of most requests are told apart by their first letter.
    if !matches!(name.as_bytes().first(), Some(b'x' | b'c' | b'f' | b'l' | b'r' | b's' | b't')) {
        return false;
    }
    PREFIXES.iter().any(|prefix| begins_with(name, prefix))
        || NAMES.iter().any(|known| name.len() == known.len() && begins_with(name, known))
        || begins_with(name, "ce-") && is_identity_attribute(&name["ce-".len()..])
}

/// Whether a header of this name is one that only the mesh sets.
pub fn is_ours(name: &str) -> bool {
    begins_with(name, OURS)
}

/// Whether an event's attribute of this name asserts an identity, or is the mesh's own.
pub fn is_identity_attribute(name: &str) -> bool {
    name.starts_with(OUR_ATTRIBUTES) && name != CLIENT_ATTRIBUTE || AUTH_CONTEXT.contains(&name)
}

/// Whether `name` begins with `prefix`, which is spelled as [`PREFIXES`].
fn begins_with(name: &str, prefix: &str) -> bool {
    let same = |(byte, wanted): (u8, u8)| match byte {
        b'a'..=b'z' | b'0'..=b'9' => byte == wanted,
        b'A'..=b'Z' => byte.to_ascii_lowercase() == wanted,
        _ => wanted == b'-',
    };
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expect: bool| assert_eq!(is_identity(name), expect, "{name}");
        for name in
            ["x-weft-principal", "x_weft_principal", "x-forwarded-for", "forwarded", "l5d-client-id", "ce-weftorigin"]
        {
            check(name, true);
        }
        for name in
            ["x-weftless", "x-tier", "authorization", "forwarded-by-hand", "ce-weftdelivernotbefore", "ce-subject", ""]
        {
            check(name, false);
        }
        assert!(is_ours("x-weft-principal") && !is_ours("x-real-ip"));
        assert!(is_identity_attribute("weftorigin") && is_identity_attribute("authid"));
        assert!(!is_identity_attribute("weftdelivernotbefore") && !is_identity_attribute("subject"));
    }

    /// The quick look at a name's first letter must let every row of the table through.
    #[test]
    fn every_row_of_the_table_counts() {
        for prefix in PREFIXES {
            assert!(is_identity(prefix) && is_identity(&format!("{prefix}anything")), "{prefix}");
        }
        for name in NAMES {
            assert!(is_identity(name), "{name}");
            assert!(!PREFIXES.iter().any(|prefix| name.starts_with(prefix)), "{name} is there twice");
        }
    }
}
