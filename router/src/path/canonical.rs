//! Decides what a parsed request *is*: one host, one method, one path. Separate and pure, because this value alone is
//! routed, judged, logged and forwarded; whoever looks at the request again elsewhere may see another one.
//!
//! The rule for the path: every text that some resolver (RFC 3986, WHATWG, one that decodes twice, strips `;` or merges
//! `//`) would place elsewhere than we do is refused. See [`path`] for what is normalised and why that is safe.

pub mod authority;
pub mod path;

#[cfg(test)]
mod generated;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{PathAndQuery, Scheme};
use http::{Method, StatusCode, Uri, Version, request::Parts};

use super::ambiguous::Ambiguous;
use authority::Authority;

/// Longest path and query, in bytes: threats.md A-06. Browsers and proxies agree on about this much.
pub const MAX_TARGET: usize = 8 * 1024;

/// Longest method, in bytes: the longest registered one (`UPDATEREDIRECTREF`) has 17.
pub const MAX_METHOD: usize = 32;

/// The one value that is routed, judged, logged and forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// Lower-case DNS name without trailing dot, IPv4 literal, or IPv6 literal in brackets. No port.
    pub host: Box<str>,
    /// The port the client wrote, if any. Not matched by routing.
    pub port: Option<u16>,
    /// Upper-case, never CONNECT or TRACE.
    pub method: Method,
    target: PathAndQuery,
}

impl Canonical {
    /// The canonical path: starts with `/`, without empty or dot segments, and spelled in the only way it can be.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query without its `?`, byte for byte as it came. `Some("")` if there was a bare `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// Path and query as they are forwarded. Cloning shares the bytes.
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// Makes a head say what this value says: its URI is absolute, and its Host is the URI's authority.
    pub fn write_to(&self, head: &mut Parts, scheme: Scheme) {
        let authority = Bytes::from(match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        });
        // Most clients write it as it is.
        if head.headers.get(HOST).is_none_or(|host| host.as_bytes() != authority)
            && let Ok(value) = HeaderValue::from_maybe_shared(authority.clone())
        {
            head.headers.insert(HOST, value);
        }
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = http::uri::Authority::from_maybe_shared(authority).ok();
        parts.path_and_query = Some(self.target.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            head.uri = uri;
        }
    }
}

/// Checks a request head and gives its one meaning.
///
/// Allocates the host, and a target only when the path was not canonical already.
///
/// # Errors
/// [`Ambiguous`] with 400; 405 for TRACE, 414 for a target over [`MAX_TARGET`], 501 for CONNECT and `Upgrade`.
pub fn canonicalise(head: &Parts) -> Result<Canonical, Ambiguous> {
    check_method(&head.method)?;
    check_headers(head.version, &head.headers)?;
    let authority = one_authority(head)?;
    let target = canonical_target(&head.uri)?;
    Ok(Canonical { host: authority.host, port: authority.port, method: head.method.clone(), target })
}

/// The same for a call that a function makes: its authority is what its URI says and nothing else, because a guest cannot
/// set Host. What the call is aimed at may want header names that the mesh refuses, so these are left to
/// [`check_names`].
///
/// # Errors
/// As [`canonicalise`].
pub fn canonicalise_outgoing(head: &Parts) -> Result<Canonical, Ambiguous> {
    check_method(&head.method)?;
    let authority = head.uri.authority().ok_or(Ambiguous::bad("host is missing"))?;
    let authority = authority::parse(authority.as_str())?;
    let target = canonical_target(&head.uri)?;
    Ok(Canonical { host: authority.host, port: authority.port, method: head.method.clone(), target })
}

/// CGI-like readers turn `x-a` and `x_a` into the same variable, so one could pose as the other.
///
/// # Errors
/// [`Ambiguous`] (400) if a name has an underscore.
pub fn check_names(headers: &HeaderMap) -> Result<(), Ambiguous> {
    match headers.keys().any(|name| name.as_str().contains('_')) {
        true => Err(Ambiguous::bad("header name contains an underscore")),
        false => Ok(()),
    }
}

/// Methods are compared literally, so only the upper-case spelling may exist: a rule that denies `POST` must not be
/// passed by `post` (E-04). `X-HTTP-Method-Override` is never read.
fn check_method(method: &Method) -> Result<(), Ambiguous> {
    let text = method.as_str();
    match text {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => return Ok(()),
        "CONNECT" => return Err(Ambiguous::with(StatusCode::NOT_IMPLEMENTED, "method CONNECT is not offered")),
        "TRACE" | "TRACK" => {
            return Err(Ambiguous::with(StatusCode::METHOD_NOT_ALLOWED, "method TRACE is not allowed"));
        }
        _ => {}
    }
    if text.len() > MAX_METHOD {
        return Err(Ambiguous::bad("method is longer than 32 bytes"));
    }
    if !text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        return Err(Ambiguous::bad("method is not in upper case"));
    }
    Ok(())
}

fn check_headers(version: Version, headers: &HeaderMap) -> Result<(), Ambiguous> {
    check_names(headers)?;
    if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Ambiguous::bad("content-length is given more than once"));
    }
    if version == Version::HTTP_2 {
        return check_h2_headers(headers);
    }
    if headers.contains_key(UPGRADE) {
        return Err(Ambiguous::with(StatusCode::NOT_IMPLEMENTED, "upgrade is not offered"));
    }
    Ok(())
}

/// RFC 9113 section 8.2.2: connection-specific fields make a message malformed; `te` may only say `trailers`.
fn check_h2_headers(headers: &HeaderMap) -> Result<(), Ambiguous> {
    let hop_by_hop = headers.contains_key(CONNECTION)
        || headers.contains_key(TRANSFER_ENCODING)
        || headers.contains_key(UPGRADE)
        || headers.contains_key("keep-alive")
        || headers.contains_key("proxy-connection");
    if hop_by_hop {
        return Err(Ambiguous::bad("http/2 request has a connection header"));
    }
    if headers.get_all(TE).iter().any(|value| value != "trailers") {
        return Err(Ambiguous::bad("te may only be `trailers` in http/2"));
    }
    Ok(())
}

/// Exactly one authority: Host, `:authority` or the absolute form; where two are given they must be equal (A-12, B-09).
fn one_authority(head: &Parts) -> Result<Authority, Ambiguous> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Ambiguous::bad("host is given more than once"));
    }
    let from_host = match host {
        Some(value) => {
            let text = value.to_str().map_err(|_| Ambiguous::bad("host is not ascii"))?;
            Some(authority::parse(text)?)
        }
        None => None,
    };
    let from_target = head.uri.authority().map(|a| authority::parse(a.as_str())).transpose()?;
    match (from_host, from_target) {
        (Some(host), Some(target)) if host != target => Err(Ambiguous::bad("host differs from the target's authority")),
        (Some(host), _) => Ok(host),
        // RFC 9112 section 3.2: an HTTP/1.1 request without Host is refused, whatever its target says.
        (None, Some(_)) if head.version == Version::HTTP_11 => Err(Ambiguous::bad("host is missing")),
        (None, Some(target)) => Ok(target),
        (None, None) => Err(Ambiguous::bad("host is missing")),
    }
}

fn canonical_target(uri: &Uri) -> Result<PathAndQuery, Ambiguous> {
    if uri.scheme().is_some_and(|s| *s != Scheme::HTTP && *s != Scheme::HTTPS) {
        return Err(Ambiguous::bad("target's scheme is not http or https"));
    }
    let target = uri.path_and_query().ok_or(Ambiguous::bad("target has no path"))?;
    if target.as_str().len() > MAX_TARGET {
        return Err(Ambiguous::with(StatusCode::URI_TOO_LONG, "target is longer than 8 KiB"));
    }
    if target.query().is_some_and(|query| !query.is_ascii()) {
        return Err(Ambiguous::bad("query has a byte that must be percent-encoded"));
    }
    let path = match path::canonical_path(target.path())? {
        // Only `http://host?query` has a path that its text lacks; others are shared as they are.
        Cow::Borrowed(_) if target.as_str().starts_with('/') => return Ok(target.clone()),
        path => path,
    };
    let text = match target.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    PathAndQuery::from_maybe_shared(Bytes::from(text)).map_err(|_| Ambiguous::bad("target is not a path"))
}
