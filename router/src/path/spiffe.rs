//! SPIFFE ids as values: read once by the rules of the SPIFFE-ID standard (version 1.0, section 2), and asked for their
//! trust domain and namespace without reading them again. Pure; where an id comes from is decided by who makes it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use weft_functions::value::{Name, Namespaced};

/// Longest id in bytes (SPIFFE-ID, section 2.3).
const ID_BYTES: usize = 2048;

/// Longest trust domain in bytes (SPIFFE-ID, section 2.1: at most 255).
const TRUST_DOMAIN_BYTES: usize = 255;

const SCHEME: &str = "spiffe://";

/// A SPIFFE id with a path, such as `spiffe://weft.local/ns/default/sa/shop`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the path begins, with its slash.
    path: u16,
    /// Where the namespace of `/ns/NAMESPACE/…` begins and ends; equal if there is none.
    namespace: (u16, u16),
}

/// Why text is no SPIFFE id of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SPIFFE id of a workload: {0}")]
pub struct NotAnId(&'static str);

/// A trust domain, such as `weft.local`, that makes ids of what runs in it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// The trust domain as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The identity that a node asserts for a function it runs: `spiffe://TD/ns/NS/fn/NAME`.
    pub fn function(&self, name: &Namespaced) -> SpiffeId {
        self.within(&name.namespace, "fn", &name.name)
    }

    /// The identity under which a trigger consumes, delivers outside and writes dead letters:
    /// `spiffe://TD/ns/NS/trigger/NAME`.
    pub fn trigger(&self, name: &Namespaced) -> SpiffeId {
        self.within(&name.namespace, "trigger", &name.name)
    }

    /// A client's identity: `spiffe://TD/ns/NS/sa/NAME`.
    pub fn client(&self, namespace: &Name, name: &Name) -> SpiffeId {
        self.within(namespace, "sa", name)
    }

    /// A node's identity: `spiffe://TD/node/NAME`.
    pub fn node(&self, name: &Name) -> SpiffeId {
        SpiffeId::made(&self.0, &format!("/node/{name}"))
    }

    fn within(&self, namespace: &Name, kind: &str, name: &Name) -> SpiffeId {
        SpiffeId::made(&self.0, &format!("/ns/{namespace}/{kind}/{name}"))
    }
}

impl FromStr for TrustDomain {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        check_trust_domain(text)?;
        Ok(Self(text.into()))
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_trust_domain(text: &str) -> Result<(), NotAnId> {
    if text.is_empty() || text.len() > TRUST_DOMAIN_BYTES {
        return Err(NotAnId("its trust domain is empty or longer than 255 bytes"));
    }
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    if !text.bytes().all(legal) {
        return Err(NotAnId("its trust domain has characters other than a-z, 0-9, '.', '-' and '_'"));
    }
    Ok(())
}

impl SpiffeId {
    /// Joins two parts that were checked.
    fn made(trust_domain: &str, path: &str) -> Self {
        let path_at = SCHEME.len() + trust_domain.len();
        let namespace = path.strip_prefix("/ns/").and_then(|rest| rest.split_once('/')).map(|(namespace, _)| {
            let start = path_at + "/ns/".len();
            (start as u16, (start + namespace.len()) as u16)
        });
        let text = format!("{SCHEME}{trust_domain}{path}").into();
        Self { text, path: path_at as u16, namespace: namespace.unwrap_or_default() }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The id as text that is shared.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The trust domain, such as `weft.local`.
    pub fn trust_domain(&self) -> &str {
        &self.text[SCHEME.len()..usize::from(self.path)]
    }

    /// The path with its first slash.
    pub fn path(&self) -> &str {
        &self.text[usize::from(self.path)..]
    }

    /// The namespace of an id of the form `/ns/NAMESPACE/KIND/NAME`.
    pub fn namespace(&self) -> Option<&str> {
        let (start, end) = self.namespace;
        (start < end).then(|| &self.text[usize::from(start)..usize::from(end)])
    }
}

impl FromStr for SpiffeId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() > ID_BYTES {
            return Err(NotAnId("it is longer than 2,048 bytes"));
        }
        let rest = text.strip_prefix(SCHEME).ok_or(NotAnId("it does not begin with spiffe://"))?;
        let slash = rest.find('/').ok_or(NotAnId("it has no path"))?;
        let (trust_domain, path) = rest.split_at(slash);
        check_trust_domain(trust_domain)?;
        for segment in path[1..].split('/') {
            if matches!(segment, "" | "." | "..") {
                return Err(NotAnId("its path has an empty or a dot segment"));
            }
            if !segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
                return Err(NotAnId("its path has characters other than letters, digits, '.', '-' and '_'"));
            }
        }
        Ok(Self::made(trust_domain, path))
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let check = |text: &str, trust_domain: &str, path: &str, namespace: Option<&str>| {
            let id: SpiffeId = text.parse().expect(text);
            assert_eq!((id.trust_domain(), id.path(), id.namespace()), (trust_domain, path, namespace), "{text}");
            assert_eq!(id.to_string(), text);
        };
        check("spiffe://weft.local/ns/shop/sa/clerk", "weft.local", "/ns/shop/sa/clerk", Some("shop"));
        check("spiffe://a_b-1/node/n1", "a_b-1", "/node/n1", None);
        check("spiffe://td/ns/shop", "td", "/ns/shop", None);
        check("spiffe://td/x/ns/shop/sa/clerk", "td", "/x/ns/shop/sa/clerk", None);
        check("spiffe://td/UPPER.case_-9", "td", "/UPPER.case_-9", None);
    }

    #[test]
    fn what_the_standard_does_not_allow() {
        let long = format!("spiffe://td/{}", "a".repeat(ID_BYTES));
        let domain = format!("spiffe://{}/a", "a".repeat(256));
        for text in [
            "",
            "spiffe://td",
            "spiffe://td/",
            "spiffe:///a",
            "spiffe://td//a",
            "spiffe://td/a/",
            "spiffe://td/./a",
            "spiffe://td/a/..",
            "spiffe://TD/a",
            "SPIFFE://td/a",
            "https://td/a",
            "spiffe://user@td/a",
            "spiffe://td:8/a",
            "spiffe://td/a?b",
            "spiffe://td/a#b",
            "spiffe://td/a%2fb",
            "spiffe://td/ä",
            "spiffe://tä/a",
            " spiffe://td/a",
            "spiffe://td/a ",
            &long,
            &domain,
        ] {
            assert!(text.parse::<SpiffeId>().is_err(), "{text}");
        }
    }
}
