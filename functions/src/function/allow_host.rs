//! One entry of `allowHosts`: which outside host, and which port.
//!
//! Separate because the rule that keeps guests off private networks lives in the difference between its forms: a name
//! never lists a private address, an address or range lists itself, loopback included.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::value::{IpBlock, ValueError};

/// Longest host name (RFC 1035, section 2.3.4, without the root dot).
const HOST_BYTES: usize = 253;

/// An outside host that a function may call: `api.bank.example:443`, `*.example.com`, `10.0.0.7`, `10.0.0.0/8`,
/// `[fd00::1]:8080`. Without a port, every port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AllowHost {
    /// Which hosts.
    pub host: HostPattern,
    /// Which port; `None` is every port.
    pub port: Option<u16>,
}

/// The host part of an [`AllowHost`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name, lower case.
    Name(String),
    /// Every name below this one, lower case: `*.example.com` holds `example.com`, which it does not match itself.
    Below(String),
    /// An address or a range.
    Network(IpBlock),
}

impl AllowHost {
    /// Whether a call to this host name and port is listed. An address in text form is never a name: see
    /// [`Self::allows_address`].
    pub fn allows_name(&self, name: &str, port: u16) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name);
        let host = match &self.host {
            HostPattern::Name(listed) => listed.eq_ignore_ascii_case(name),
            HostPattern::Below(parent) => {
                let split = name.len().checked_sub(parent.len()).and_then(|at| name.split_at_checked(at));
                split.is_some_and(|(head, tail)| {
                    head.len() > 1 && head.ends_with('.') && tail.eq_ignore_ascii_case(parent)
                })
            }
            HostPattern::Network(_) => false,
        };
        host && self.allows_port(port)
    }

    /// Whether a call to this address and port is listed by address or range.
    pub fn allows_address(&self, address: IpAddr, port: u16) -> bool {
        match &self.host {
            HostPattern::Network(block) => block.contains(address) && self.allows_port(port),
            HostPattern::Name(_) | HostPattern::Below(_) => false,
        }
    }

    fn allows_port(&self, port: u16) -> bool {
        self.port.is_none_or(|listed| listed == port)
    }
}

impl FromStr for AllowHost {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = |why: &str| {
            ValueError::new(format!(
                "`{}` is not an allowed host: {why}; expected host:port, host, *.domain, an address or a range",
                text.escape_debug()
            ))
        };
        if text.contains("://") {
            return Err(wrong("leave out the scheme"));
        }
        if let Ok(block) = text.parse::<IpBlock>() {
            return Ok(Self { host: HostPattern::Network(block), port: None });
        }
        if text.contains('/') {
            return Err(wrong("not a range"));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port_number(port).ok_or_else(|| wrong("not a port from 1 to 65535"))?)),
            None => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(Self { host: HostPattern::Network(IpBlock::single(address)), port });
        }
        let pattern = match host.strip_prefix("*.") {
            Some(parent) if is_host_name(parent) => HostPattern::Below(parent.to_ascii_lowercase()),
            None if is_host_name(host) => HostPattern::Name(host.to_ascii_lowercase()),
            _ => return Err(wrong("not a host name")),
        };
        Ok(Self { host: pattern, port })
    }
}

impl fmt::Display for AllowHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Name(name) => f.write_str(name)?,
            HostPattern::Below(parent) => write!(f, "*.{parent}")?,
            HostPattern::Network(block) if self.port.is_some() && block.address().is_some_and(|ip| ip.is_ipv6()) => {
                write!(f, "[{block}]")?;
            }
            HostPattern::Network(block) => write!(f, "{block}")?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn port_number(text: &str) -> Option<u16> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|port| *port != 0)
}

/// Labels of letters, digits, `-` and `_`, not empty; not all digits and dots, which would be a mistyped address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= HOST_BYTES && text.split('.').all(label) && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        fn check(input: &str, expect: Option<&str>) {
            let read = input.parse::<AllowHost>().ok().map(|host| host.to_string());
            assert_eq!(read.as_deref(), expect, "{input}");
        }
        check("api.bank.example:443", Some("api.bank.example:443"));
        check("API.bank.example", Some("api.bank.example"));
        check("*.example.com:443", Some("*.example.com:443"));
        check("127.0.0.1", Some("127.0.0.1"));
        check("127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("10.0.0.0/8", Some("10.0.0.0/8"));
        check("fd00::1", Some("fd00::1"));
        check("[fd00::1]:80", Some("[fd00::1]:80"));
        for bad in ["", "*", "*.", "https://a.b", "a:0", "a:70000", "a:+1", "10.0.0.1/8", "10.0.0.0/33", "1.2.3", "a b"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn matching() {
        fn check(entry: &str, target: &str, port: u16, expect: bool) {
            let entry: AllowHost = entry.parse().unwrap();
            let allowed = match target.parse::<IpAddr>() {
                Ok(address) => entry.allows_address(address, port),
                Err(_) => entry.allows_name(target, port),
            };
            assert_eq!(allowed, expect, "{entry} {target}:{port}");
        }
        check("api.example:443", "API.example", 443, true);
        check("api.example:443", "api.example.", 443, true);
        check("api.example:443", "api.example", 80, false);
        check("api.example", "127.0.0.1", 80, false);
        check("*.example", "a.example", 80, true);
        check("*.example", "a.b.example", 80, true);
        check("*.example", "example", 80, false);
        check("*.example", ".example", 80, false);
        check("*.example", "badexample", 80, false);
        check("10.0.0.0/8", "10.9.8.7", 80, true);
        check("10.0.0.0/8", "11.0.0.1", 80, false);
        check("0.0.0.0/0", "8.8.8.8", 80, true);
        check("127.0.0.1", "::ffff:127.0.0.1", 80, true);
        check("fd00::/8", "fd12::1", 80, true);
        check("fd00::/8", "10.0.0.1", 80, false);
    }
}
