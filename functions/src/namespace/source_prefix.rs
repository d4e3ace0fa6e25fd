//! What the source of an event must begin with. A type of its own, because `/shop` must not admit `/shopping`, nor
//! `/shop/../bank`.

use std::fmt;
use std::str::FromStr;

use crate::event::is_uri_reference;
use crate::value::ValueError;

/// Longest prefix in bytes.
const BYTES: usize = 1024;

/// The beginning of a source: `/shop`, `https://shop.example/`, `urn:shop`. It admits itself and what follows it after one
/// of `/`, `:`, `?` and `#`; where it ends in one of these, whatever follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourcePrefix(String);

impl SourcePrefix {
    /// The prefix as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an event of this source may be published. One whose path climbs (`..`) is not: what it names lies
    /// elsewhere.
    pub fn admits(&self, source: &str) -> bool {
        let Some(rest) = source.strip_prefix(self.as_str()) else { return false };
        let on_a_boundary = rest.is_empty() || ends_part(self.as_str()) || rest.starts_with(BOUNDARIES);
        on_a_boundary && !climbs(rest)
    }
}

const BOUNDARIES: [char; 4] = ['/', ':', '?', '#'];

fn ends_part(prefix: &str) -> bool {
    prefix.ends_with(BOUNDARIES)
}

/// Whether a dot segment is among the segments, percent-encoded or not (RFC 3986, sections 5.2.4 and 6.2.2.2).
fn climbs(path: &str) -> bool {
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.split(BOUNDARIES).any(dots)
}

impl FromStr for SourcePrefix {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |why: &str| {
            let text = text.escape_debug();
            ValueError::new(format!(
                "`{text}` is not the beginning of a source: {why}; expected /shop, https://shop.example/ or urn:shop"
            ))
        };
        if text.is_empty() || text.len() > BYTES {
            return Err(wrong("it must have 1 to 1024 bytes"));
        }
        if text.contains('*') {
            return Err(wrong("it is a prefix already, leave out the star"));
        }
        if !is_uri_reference(text) {
            return Err(wrong("it has characters that no URI has"));
        }
        if climbs(text) {
            return Err(wrong("it has a dot segment"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for SourcePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admission() {
        let check = |prefix: &str, source: &str, expect: bool| {
            let read: SourcePrefix = prefix.parse().unwrap();
            assert_eq!(read.admits(source), expect, "{prefix} {source}");
        };
        check("/shop", "/shop", true);
        check("/shop", "/shop/till", true);
        check("/shop", "/shop?till=1", true);
        check("/shop", "/shop#1", true);
        check("/shop", "/shopping", false);
        check("/shop", "/Shop", false);
        check("/shop", "shop", false);
        check("/shop", "/shop/../bank", false);
        check("/shop", "/shop/%2E%2e/bank", false);
        check("/shop", "/shop/.", false);
        check("/shop", "/shop/a..b", true);
        check("/shop/", "/shop/till", true);
        check("/shop/", "/shop", false);
        check("urn:shop", "urn:shop:till:7", true);
        check("urn:shop", "urn:shopping", false);
        check("urn:", "urn:anything", true);
        check("https://shop.example", "https://shop.example/x", true);
        check("https://shop.example", "https://shop.example.evil/x", false);
        check("https://shop.example", "https://shop.example@evil/x", false);
    }

    #[test]
    fn what_is_no_prefix() {
        let long = format!("/{}", "a".repeat(BYTES));
        for bad in ["", "/shop*", "*", "/a b", "/ä", "/shop/../x", "/%2e%2E/", &long] {
            assert!(bad.parse::<SourcePrefix>().is_err(), "{bad}");
        }
    }
}
