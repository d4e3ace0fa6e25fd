//! What the values of each field look like. A value in another form would be compared with what never comes, so it is
//! refused with a word about the form that does.

use std::net::Ipv6Addr;

use crate::policy::{PathMatch, StringMatch};
use crate::value::{IpBlock, Name};

/// Longest value in bytes: the longest SPIFFE id (SPIFFE-ID, section 2.3).
const BYTES: usize = 2048;

const SCHEME: &str = "spiffe://";

/// Text of any kind.
pub(super) fn text(text: &str) -> Result<StringMatch, String> {
    if text.len() > BYTES {
        return Err(format!("this is longer than {BYTES} bytes"));
    }
    if text.contains(char::is_control) {
        return Err(never(text, "it has a control character"));
    }
    text.parse().map_err(|error: crate::value::ValueError| error.to_string())
}

/// The SPIFFE id of a workload (SPIFFE-ID, section 2).
pub(super) fn workload(written: &str) -> Result<StringMatch, String> {
    let matched = text(written)?;
    let literal = matched.literal();
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    let (StringMatch::Exact(_) | StringMatch::Prefix(_)) = &matched else {
        let legal = |byte: u8| in_path(byte) || byte == b':';
        return literal
            .bytes()
            .all(legal)
            .then_some(matched)
            .ok_or_else(|| never(written, "a SPIFFE id has letters, digits, `.`, `-`, `_` and `/` only"));
    };
    let Some(rest) = literal.strip_prefix(SCHEME) else {
        return Err(match literal.contains(':') {
            true => never(written, "SPIFFE ids begin with spiffe://"),
            false => never(written, &format!("write {SCHEME}{written}")),
        });
    };
    let whole = matches!(matched, StringMatch::Exact(_));
    let (domain, path) = match rest.split_once('/') {
        Some((domain, path)) => (domain, Some(path)),
        None => (rest, None),
    };
    if !domain.bytes().all(|byte| in_path(byte) && !byte.is_ascii_uppercase()) || (domain.is_empty() && path.is_some())
    {
        return Err(never(written, "a trust domain has a-z, 0-9, `.`, `-` and `_` only"));
    }
    let Some(path) = path.or((!whole).then_some("")) else {
        return Err(never(written, "the id of a workload has a path"));
    };
    let mut segments: Vec<&str> = path.split('/').collect();
    if !whole {
        // A prefix may end anywhere in its last segment.
        segments.pop();
    }
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    if !path.bytes().all(in_path) || !segments.into_iter().all(is_segment) {
        return Err(never(written, "its path has an empty or dot segment, or a character that SPIFFE ids do not have"));
    }
    Ok(matched)
}

/// `<iss>/<sub>` of a verified token.
pub(super) fn subject(written: &str) -> Result<StringMatch, String> {
    let matched = text(written)?;
    match &matched {
        StringMatch::Exact(text) | StringMatch::Prefix(text)
            if text.get(..7).is_some_and(|begin| begin.eq_ignore_ascii_case("spiffe:")) =>
        {
            Err(never(written, "tokens prove no SPIFFE id; use `principals`"))
        }
        StringMatch::Exact(text) if text.split_once('/').is_none_or(|(issuer, _)| issuer.is_empty()) => {
            Err(never(written, "expected ISSUER/SUBJECT"))
        }
        _ => Ok(matched),
    }
}

/// A namespace, as a SPIFFE id has it: of another mesh it may be more than our own names are.
pub(super) fn namespace(written: &str) -> Result<StringMatch, String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let matched = text(written)?;
    let fits = matched.literal().bytes().all(legal);
    fits.then_some(matched).ok_or_else(|| never(written, "a namespace has letters, digits, `.`, `-` and `_` only"))
}

/// The name of one of our functions or topics.
pub(super) fn name(written: &str) -> Result<StringMatch, String> {
    let matched = text(written)?;
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match &matched {
        StringMatch::Exact(text) => text.parse::<Name>().map(|_| matched).map_err(|error| error.to_string()),
        matched if matched.literal().bytes().all(legal) => Ok(matched.clone()),
        _ => Err(never(written, "a name has a-z, 0-9 and - only")),
    }
}

/// A host without its port, in lower case; IPv6 addresses in brackets, in their shortest form.
pub(super) fn host(written: &str) -> Result<StringMatch, String> {
    let lower = written.to_ascii_lowercase();
    let matched = text(&lower)?;
    let literal = matched.literal();
    if let StringMatch::Exact(text) = &matched {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(StringMatch::Exact(format!("[{address}]")));
        }
    }
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_');
    let whole_end = !matches!(matched, StringMatch::Prefix(_));
    let problem = if literal.contains('/') {
        "expected a host alone, without scheme and path"
    } else if literal.contains(['[', ']']) || literal.matches(':').nth(1).is_some() {
        "IPv6 addresses are written whole"
    } else if literal.contains(':') {
        "leave out the port, which is not matched"
    } else if !literal.is_ascii() {
        "write internationalised names in punycode (xn--)"
    } else if !literal.bytes().all(legal) {
        "a host has letters, digits, `.`, `-` and `_` only"
    } else if literal.contains("..") || (whole_end && literal.ends_with('.')) {
        "leave out the dot at the end, and empty labels"
    } else {
        return Ok(matched);
    };
    Err(never(written, problem))
}

/// A method, which is upper case.
pub(super) fn method(written: &str) -> Result<StringMatch, String> {
    let matched = text(written)?;
    let literal = matched.literal();
    if literal.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Ok(matched);
    }
    Err(match literal.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => never(written, &format!("methods are upper case, write {}", written.to_ascii_uppercase())),
        false => never(written, "a method has A-Z and - only"),
    })
}

/// A canonical path.
pub(super) fn path(written: &str) -> Result<PathMatch, String> {
    if written.len() > BYTES {
        return Err(format!("this is longer than {BYTES} bytes"));
    }
    written.parse().map_err(|error: crate::value::ValueError| error.to_string())
}

/// The source of an event: characters of a URI (RFC 3986).
pub(super) fn uri(written: &str) -> Result<StringMatch, String> {
    let matched = text(written)?;
    let legal = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    let fits = matched.literal().bytes().all(legal);
    fits.then_some(matched).ok_or_else(|| never(written, "a source is a URI, percent-encoded"))
}

/// An address or a range of addresses.
pub(super) fn ip_block(written: &str) -> Result<IpBlock, String> {
    written.parse().map_err(|error: crate::value::ValueError| error.to_string())
}

fn never(text: &str, why: &str) -> String {
    format!("`{}` can never match: {why}", text.escape_debug())
}

#[cfg(test)]
mod tests;
