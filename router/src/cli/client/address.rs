//! Where an admin API is: `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
//!
//! Separate because what a person types here is checked once and its mistakes have good answers.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an `http://` address without one.
const HTTP_PORT: u16 = 80;
/// The port of an `https://` address without one.
const HTTPS_PORT: u16 = 443;

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum Address {
    /// Over TCP.
    Tcp {
        /// A name or an IP address; an IPv6 address without its brackets.
        host: String,
        port: u16,
    },
    /// Over TLS.
    Tls {
        /// As above.
        host: String,
        port: u16,
    },
    /// Over a unix socket.
    Unix(PathBuf),
}

impl Address {
    /// What belongs into the `Host` header. On a unix socket nothing is chosen by it; `localhost` is what a node
    /// takes that refuses foreign names.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port } => join(host, *port),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    /// `HOST:PORT`, as nodes write their data address and as `http://` is followed by.
    pub(super) fn from_host_port(text: &str) -> Result<Self, String> {
        let (host, port) = host_port(text, HTTP_PORT)?;
        Ok(Self::Tcp { host, port })
    }

    /// The same over TLS.
    pub(super) fn tls_from_host_port(text: &str) -> Result<Self, String> {
        let (host, port) = host_port(text, HTTPS_PORT)?;
        Ok(Self::Tls { host, port })
    }
}

/// Reads `HOST:PORT`.
fn host_port(text: &str, default: u16) -> Result<(String, u16), String> {
    let authority: http::uri::Authority =
        text.parse().map_err(|error| format!("{text:?} is not HOST:PORT: {error}"))?;
    if authority.as_str().contains('@') {
        return Err(format!("{text:?} has a user name in it, which weft does not use"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(format!("{text:?} has no host: write 127.0.0.1:8081"));
    }
    // `Authority` takes anything after the last colon; only a number is a port.
    let port = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => default,
        Some(rest) => {
            let digits = rest.trim_start_matches(':');
            digits.parse().map_err(|_| format!("{digits:?} is not a port (0 to 65535)"))?
        }
        None => default,
    };
    Ok((host.to_owned(), port))
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs the path of a socket: unix:/run/weft/admin.sock".to_owned()),
                path => Ok(Self::Unix(PathBuf::from(path))),
            };
        }
        let (scheme, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => ("http", rest),
            (_, Some(rest)) => ("https", rest),
            (None, None) => {
                let forms = "http://HOST:PORT, https://HOST:PORT or unix:PATH";
                return Err(format!("{text:?} is not an address of an admin API: write {forms}"));
            }
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(format!("{text:?} has a path, but an admin API has none: write {scheme}://HOST:PORT"));
        }
        if scheme == "https" { Self::tls_from_host_port(rest) } else { Self::from_host_port(rest) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{}", join(host, *port)),
            Self::Tls { host, port } => write!(f, "https://{}", join(host, *port)),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_a_person_means() {
        let check = |text: &str, expect: &str| assert_eq!(text.parse::<Address>().unwrap().to_string(), expect);
        check("http://127.0.0.1:8081", "http://127.0.0.1:8081");
        check("http://127.0.0.1:8081/", "http://127.0.0.1:8081");
        check("http://node", "http://node:80");
        check("http://[::1]:8081", "http://[::1]:8081");
        check("unix:/run/weft/admin.sock", "unix:/run/weft/admin.sock");
        check("unix:admin.sock", "unix:admin.sock");
        check("https://node", "https://node:443");
        check("https://[::1]:8444/", "https://[::1]:8444");
    }

    #[test]
    fn a_wrong_address_is_told_what_is_right() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("", "write http://HOST:PORT, https://HOST:PORT or unix:PATH");
        check("127.0.0.1:8081", "write http://HOST:PORT, https://HOST:PORT or unix:PATH");
        check("https://node:8443/console", "write https://HOST:PORT");
        check("http://node:8081/console", "has a path");
        check("http://node:port", "is not a port");
        check("http://node:99999", "is not a port");
        check("http://:8081", "");
        check("http://me@node:8081", "user name");
        check("http://no de", "is not HOST:PORT");
        check("unix:", "needs the path");
    }
}
