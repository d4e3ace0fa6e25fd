//! Decides what host an authority names. Separate because Host, `:authority`, the absolute form and manifests' host names
//! must all mean the same by the same text.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::path::ambiguous::Ambiguous;

/// Longest DNS name in text, in bytes (RFC 1035 section 2.3.4, without the root's dot).
const MAX_NAME: usize = 253;

/// Longest DNS label, in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// A host and the port written beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Lower case, without port and trailing dot; an IPv6 literal keeps its brackets.
    pub host: Box<str>,
    /// As written; no default is filled in.
    pub port: Option<u16>,
}

/// Reads an authority. Internationalised names are accepted in punycode only, as they are.
///
/// # Errors
/// [`Ambiguous`] (400): empty, userinfo, `%` (encodings, IPv6 zones), bad DNS labels, numbers that some readers take for
/// an IPv4 address (`127.1`, `0x7f.1`), bad port.
pub fn parse(text: &str) -> Result<Authority, Ambiguous> {
    if text.is_empty() {
        return Err(Ambiguous::bad("host is empty"));
    }
    if text.contains('@') {
        return Err(Ambiguous::bad("host contains user information"));
    }
    if text.contains('%') {
        return Err(Ambiguous::bad("host contains a `%`"));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(Ambiguous::bad("host's bracket is not closed"))?;
        let address: Ipv6Addr = address.parse().map_err(|_| Ambiguous::bad("host is not an ipv6 address"))?;
        return Ok(Authority { host: format!("[{address}]").into(), port: parse_port(port)? });
    }
    let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    let name = name.strip_suffix('.').unwrap_or(name);
    check_name(name)?;
    Ok(Authority { host: name.to_ascii_lowercase().into(), port: parse_port(port)? })
}

/// Reads `:PORT` or nothing.
fn parse_port(text: &str) -> Result<Option<u16>, Ambiguous> {
    let Some(digits) = text.strip_prefix(':') else {
        return if text.is_empty() { Ok(None) } else { Err(Ambiguous::bad("host's port is not a number")) };
    };
    // A leading zero is refused too, so that a port has one spelling.
    let decimal = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if decimal => Ok(Some(port)),
        _ => Err(Ambiguous::bad("host's port is not a number")),
    }
}

fn check_name(name: &str) -> Result<(), Ambiguous> {
    if name.is_empty() || name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(Ambiguous::bad("host is not a dns name"));
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if ends_in_number(last) && name.parse::<Ipv4Addr>().is_err() {
        return Err(Ambiguous::bad("host is not an ipv4 address"));
    }
    Ok(())
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= MAX_LABEL
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// WHATWG's rule for which names its readers take for IPv4 addresses, in decimal, octal or hex.
fn ends_in_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|b| b.is_ascii_digit()) || hex.is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()))
}
