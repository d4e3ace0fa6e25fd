//! Where outgoing calls go: within the mesh by one spelling, outside by the function's list.

use http::{HeaderName, HeaderValue, Method, Request};

use super::*;
use crate::path::fixture;

fn head(method: &str, uri: &str) -> Parts {
    let request = Request::builder().method(method).uri(uri).header("host", "forged.example").body(());
    request.expect("a request").into_parts().0
}

fn route(head: &mut Parts, allow: &[&str], hops: u8) -> Routed {
    let allow: Vec<AllowHost> = allow.iter().map(|entry| entry.parse().expect("a host")).collect();
    let function = "default/caller".parse().expect("a name");
    Sender { names: &fixture::names(), function: &function, allow_hosts: &allow, hops }.route(head)
}

/// What a call to `uri` is aimed at: the target and its authority, or the reason why there is none.
fn aim(uri: &str, allow: &[&str]) -> String {
    let mut head = head("GET", uri);
    let routed = route(&mut head, allow, 1);
    match routed.target.refusal() {
        Some(failure) => format!("{} {}", routed.verb.as_str(), failure.reason.code()),
        None => format!("{} {} {}", routed.verb.as_str(), routed.target, head.uri),
    }
}

#[test]
fn targets() {
    let check = |uri: &str, expect: &str| {
        let allow = ["api.example:443", "*.open.example", "10.0.0.0/8", "[fd00::1]:8080"];
        assert_eq!(aim(uri, &allow), expect, "{uri}");
    };
    check("http://b.weft.internal/x", "request function default/b http://b.weft.internal/x");
    check("http://B.Shop.WEFT.internal./%7Ex", "request function shop/b http://b.shop.weft.internal/~x");
    check("http://topics.weft.internal/a/b", "publish topic a/b http://topics.weft.internal/a/b");
    check("https://api.example/", "egress api.example:443 https://api.example/");
    check("https://API.example.:443/%41", "egress api.example:443 https://api.example:443/A");
    check("http://api.example/", "egress EGRESS_DENIED");
    check("http://a.open.example/", "egress a.open.example:80 http://a.open.example/");
    check("http://open.example/", "egress EGRESS_DENIED");
    check("http://10.1.2.3:99/", "egress 10.1.2.3:99 http://10.1.2.3:99/");
    check("http://[FD00:0::1]:8080/", "egress [fd00::1]:8080 http://[fd00::1]:8080/");
    check("http://[fd00::1]/", "egress EGRESS_DENIED");
    check("http://user@api.example/", "egress REQUEST_AMBIGUOUS");
    check("ftp://api.example/", "egress REQUEST_AMBIGUOUS");
    // The mesh's own address outside is outside.
    check("http://b.localhost/", "egress EGRESS_DENIED");
    check("http://weft.internal/", "egress EGRESS_DENIED");
    check("http://xweft.internal/", "egress EGRESS_DENIED");
}

/// Paths that two readers could place differently are refused, in the mesh and on the way out.
#[test]
fn ambiguous_paths_go_nowhere() {
    let paths = [
        "/a/../b",
        "/a/./b",
        "/a//b",
        "/%2e%2e/b",
        "/a%2Fb",
        "/a%5Cb",
        "/a;b",
        "/a%00",
        "/%252e%252e/b",
        "/a%zz",
        "/%ff",
    ];
    for path in paths {
        assert_eq!(aim(&format!("http://b.weft.internal{path}"), &[]), "request REQUEST_AMBIGUOUS", "{path}");
        assert_eq!(aim(&format!("http://b.WEFT.INTERNAL{path}"), &[]), "request REQUEST_AMBIGUOUS", "{path}");
        assert_eq!(aim(&format!("https://api.example{path}"), &["api.example"]), "egress REQUEST_AMBIGUOUS", "{path}");
    }
}

#[test]
fn host_is_the_authority_whatever_was_written() {
    for (uri, host) in [("http://b.weft.internal:80/", "b.weft.internal:80"), ("http://API.example/", "api.example")] {
        let mut head = head("GET", uri);
        route(&mut head, &["api.example"], 1);
        let hosts: Vec<_> = head.headers.get_all("host").iter().collect();
        assert_eq!(hosts, [host], "{uri}");
    }
}

#[test]
fn names_with_an_underscore_go_outside_only() {
    let code = |uri: &str| {
        let mut head = head("GET", uri);
        head.headers.insert(HeaderName::from_static("x_key"), HeaderValue::from_static("1"));
        route(&mut head, &["api.example"], 1).target.refusal().map(|failure| failure.reason)
    };
    assert_eq!(code("http://b.weft.internal/"), Some(Reason::RequestAmbiguous));
    assert_eq!(code("http://topics.weft.internal/a/b"), Some(Reason::RequestAmbiguous));
    assert_eq!(code("http://api.example/"), None);
}

#[test]
fn methods_and_hops() {
    let code = |method: &str, uri: &str, hops: u8| {
        let mut head = head(method, uri);
        route(&mut head, &["api.example"], hops).target.refusal().map(|failure| failure.reason)
    };
    for uri in ["http://b.weft.internal/", "http://api.example/"] {
        assert_eq!(code("TRACE", uri, 1), Some(Reason::RouteMethod), "{uri}");
        assert_eq!(code("CONNECT", uri, 1), Some(Reason::Unsupported), "{uri}");
        assert_eq!(code("post", uri, 1), Some(Reason::RequestAmbiguous), "{uri}");
        assert_eq!(code(Method::POST.as_str(), uri, HOPS_MAX), None, "{uri}");
    }
    assert_eq!(code("POST", "http://b.weft.internal/", HOPS_MAX + 1), Some(Reason::CallCycle));
    assert_eq!(code("POST", "http://topics.weft.internal/a/b", HOPS_MAX + 1), Some(Reason::EventLoop));
    assert_eq!(code("POST", "http://api.example/", HOPS_MAX + 1), None, "what leaves the mesh ends the chain");
}
