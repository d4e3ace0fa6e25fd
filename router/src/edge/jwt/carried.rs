//! Where a request carries a token: one header, once. A request that carries two would be judged by one and mean the
//! other to whoever reads it next, so it is refused. Queries are never looked at: they end up in logs.

use http::{HeaderMap, HeaderName};
use weft_functions::issuer::FromHeader;

use super::refusal::Refusal;

/// A header that carries tokens, and what stands before them in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) header: HeaderName,
    pub(super) prefix: Box<str>,
}

impl Place {
    /// The place that an Issuer names; `None` if its name is not a header's, which reading the Issuer rules out.
    pub(super) fn new(from: &FromHeader) -> Option<Self> {
        Some(Self { header: from.name.parse().ok()?, prefix: from.prefix.as_str().into() })
    }

    /// The token in the header's value, if the value begins like one.
    fn token<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let prefix = self.prefix.as_bytes();
        // A scheme without anything after it arrives without the space that follows it in the prefix.
        if !prefix.is_empty() && value.eq_ignore_ascii_case(prefix.trim_ascii_end()) {
            return Some(b"");
        }
        // Names of schemes are compared without regard to case (RFC 9110, section 11.1).
        let (begin, token) = value.split_at_checked(prefix.len())?;
        begin.eq_ignore_ascii_case(prefix).then_some(token)
    }
}

/// The token among the headers and the index of its place; nothing if no place has one. Of places in one header, those with
/// longer prefixes come first.
pub(super) fn find<'a>(places: &[Place], headers: &'a HeaderMap) -> Result<Option<(usize, &'a [u8])>, Refusal> {
    let mut found: Option<(usize, &'a [u8])> = None;
    for (index, place) in places.iter().enumerate() {
        let values = || headers.get_all(&place.header).iter();
        let Some(token) = values().find_map(|value| place.token(value.as_bytes())) else { continue };
        if values().nth(1).is_some() {
            return Err(Refusal::invalid(format!("the header {} came more than once", place.header)));
        }
        match found {
            None => found = Some((index, token)),
            // One value, which a place with a longer prefix has found already.
            Some((other, _)) if places[other].header == place.header => {}
            Some(_) => return Err(Refusal::invalid("the request carries more than one token")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, prefix: &str) -> Place {
        Place::new(&FromHeader { name: name.to_owned(), prefix: prefix.to_owned() }).expect("a place")
    }

    #[test]
    fn one_token_in_one_header() {
        let places =
            [place("authorization", "Bearer "), place("x-token", "Token "), place("x-token", ""), place("x-other", "")];
        let check = |headers: &[(&str, &str)], expect: Result<Option<(usize, &str)>, ()>| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
            }
            let found = find(&places, &map).map_err(|_| ());
            let expect = expect.map(|found| found.map(|(place, token)| (place, token.as_bytes())));
            assert_eq!(found, expect, "{headers:?}");
        };
        check(&[], Ok(None));
        check(&[("authorization", "Bearer a.b.c")], Ok(Some((0, "a.b.c"))));
        check(&[("authorization", "bEARER a.b.c")], Ok(Some((0, "a.b.c"))));
        check(&[("authorization", "Bearer  a.b.c")], Ok(Some((0, " a.b.c"))));
        check(&[("authorization", "Bearer")], Ok(Some((0, ""))));
        check(&[("authorization", "Basic dXNlcg==")], Ok(None));
        check(&[("authorization", "Bearera.b.c")], Ok(None));
        check(&[("authorization", "DPoP a.b.c")], Ok(None));
        check(&[("x-token", "a.b.c")], Ok(Some((2, "a.b.c"))));
        check(&[("x-token", "Token a.b.c")], Ok(Some((1, "a.b.c"))));
        check(&[("x-unknown", "Bearer a.b.c")], Ok(None));
        check(&[("authorization", "Bearer a.b.c"), ("authorization", "Bearer a.b.c")], Err(()));
        check(&[("authorization", "Basic dXNlcg=="), ("authorization", "Bearer a.b.c")], Err(()));
        check(&[("authorization", "Bearer a.b.c"), ("authorization", "Basic dXNlcg==")], Err(()));
        check(&[("authorization", "Bearer a.b.c"), ("x-token", "a.b.c")], Err(()));
        check(&[("x-token", "a.b.c"), ("x-other", "a.b.c")], Err(()));
        check(&[("x-token", "a.b.c"), ("x-token", "Token a.b.c")], Err(()));
        check(&[("authorization", "Basic dXNlcg=="), ("x-token", "a.b.c")], Ok(Some((2, "a.b.c"))));
    }
}
