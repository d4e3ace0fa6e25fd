//! Who may speak to the admin listener. On loopback a browser is the danger: a page from anywhere can make it send
//! requests here, and a name that resolves to 127.0.0.1 (DNS rebinding) makes them look like the page's own.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, header};

use super::refusal::Refusal;

/// Browsers say with it where a request comes from (Fetch Metadata); pages cannot set it.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Which requests a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// A loopback address: the Host must be a loopback address or `localhost`, with any port, and a browser's request
    /// must come from this very origin.
    Loopback,
    /// An address that is reached by its name, with a certificate that a browser may have too: a request of a page must
    /// come from this very origin.
    Pages,
    /// A unix socket, which no page can reach.
    Open,
}

impl Guard {
    /// Whether a request with these headers is taken.
    pub(super) fn check(self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self == Self::Open {
            return Ok(());
        }
        let host = single(headers, &header::HOST).ok_or_else(|| foreign("none, or more than one"))?;
        let scheme = match self {
            Self::Pages => "https://",
            Self::Loopback | Self::Open => {
                let authority: Authority = host.parse().map_err(|_| foreign(host))?;
                if authority.as_str().contains('@') || !is_loopback(authority.host()) {
                    return Err(foreign(host));
                }
                "http://"
            }
        };
        if headers.contains_key(&header::ORIGIN) {
            let origin = single(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix(scheme));
            if origin.is_none_or(|origin| !origin.eq_ignore_ascii_case(host)) {
                return Err(cross_site());
            }
        }
        // `same-site` is another port of this machine, so another program's page.
        let sites = headers.get_all(&SEC_FETCH_SITE);
        if sites.iter().any(|site| site != "same-origin" && site != "none") {
            return Err(cross_site());
        }
        Ok(())
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}

fn is_loopback(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn foreign(host: &str) -> Refusal {
    let host = host.escape_debug();
    Refusal::forbidden(
        "HOST_REFUSED",
        format!("the Host is `{host}`; this listener answers to 127.0.0.1, [::1] and localhost"),
    )
}

fn cross_site() -> Refusal {
    Refusal::forbidden(
        "CROSS_SITE",
        "the request comes from a page of another origin; use the command line or this address",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(guard: Guard, fields: &[(&str, &str)], expect: Option<&str>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().expect("a name"), value.parse().expect("a value"));
        }
        let code = guard.check(&headers).err().map(|refusal| match refusal {
            Refusal::Problem { code, .. } => code,
            Refusal::Mistakes(_) | Refusal::Denied(_) => "OTHER",
        });
        assert_eq!(code, expect, "{fields:?}");
    }

    #[test]
    fn hosts() {
        for host in
            ["127.0.0.1:8081", "127.0.0.1", "127.9.9.9:1", "[::1]:8081", "localhost:80", "LOCALHOST", "localhost"]
        {
            check(Guard::Loopback, &[("host", host)], None);
        }
        for host in [
            "evil.example",
            "evil.example:8081",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "hello.localhost:8081",
            "localhost.",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "[::ffff:10.0.0.1]",
            "2130706433",
            "127.1",
            "user@localhost",
            "",
            "a b",
        ] {
            check(Guard::Loopback, &[("host", host)], Some("HOST_REFUSED"));
        }
        check(Guard::Loopback, &[], Some("HOST_REFUSED"));
        check(Guard::Loopback, &[("host", "localhost"), ("host", "localhost")], Some("HOST_REFUSED"));
        check(Guard::Open, &[("host", "evil.example"), ("origin", "null")], None);
    }

    #[test]
    fn pages() {
        let host = ("host", "localhost:8081");
        check(Guard::Loopback, &[host, ("origin", "http://localhost:8081")], None);
        check(Guard::Loopback, &[host, ("origin", "http://localhost:8081"), ("sec-fetch-site", "same-origin")], None);
        check(Guard::Loopback, &[host, ("sec-fetch-site", "none")], None);
        for origin in [
            "null",
            "http://evil.example",
            "http://localhost",
            "http://localhost:8080",
            "https://localhost:8081",
            "http://127.0.0.1:8081",
            "",
        ] {
            check(Guard::Loopback, &[host, ("origin", origin)], Some("CROSS_SITE"));
        }
        for site in ["cross-site", "same-site", "anything"] {
            check(Guard::Loopback, &[host, ("sec-fetch-site", site)], Some("CROSS_SITE"));
        }
        let named = ("host", "mesh.example:8444");
        check(Guard::Pages, &[named], None);
        check(Guard::Pages, &[named, ("origin", "https://mesh.example:8444")], None);
        check(Guard::Pages, &[named, ("origin", "http://mesh.example:8444")], Some("CROSS_SITE"));
        check(Guard::Pages, &[named, ("origin", "https://evil.example")], Some("CROSS_SITE"));
        check(Guard::Pages, &[named, ("sec-fetch-site", "cross-site")], Some("CROSS_SITE"));
        let twice = [host, ("origin", "http://localhost:8081"), ("origin", "http://evil.example")];
        check(Guard::Loopback, &twice, Some("CROSS_SITE"));
    }
}
