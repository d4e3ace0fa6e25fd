//! What each form takes, what it makes of it, and what it says of the rest.

use super::*;

type Form = fn(&str) -> Result<StringMatch, String>;

fn check(form: Form, written: &str, expect: Result<&str, &str>) {
    match (form(written), expect) {
        (Ok(read), Ok(expect)) => assert_eq!(read.to_string(), expect, "{written}"),
        (Err(why), Err(expect)) => {
            assert_eq!(why, format!("`{written}` can never match: {expect}"), "{written}");
        }
        (found, expect) => panic!("{written}: {found:?} instead of {expect:?}"),
    }
}

fn takes(form: Form, written: &[&str]) {
    written.iter().for_each(|written| check(form, written, Ok(written)));
}

fn refuses(form: Form, written: &[&str], why: &str) {
    written.iter().for_each(|written| check(form, written, Err(why)));
}

#[test]
fn any_text() {
    takes(text, &["a", "a b", "ä", "a*", "*a", "*"]);
    assert_eq!(text("\u{1}"), Err(r"`\u{1}` can never match: it has a control character".to_owned()));
    assert_eq!(text(&"a".repeat(BYTES + 1)), Err("this is longer than 2048 bytes".to_owned()));
    assert_eq!(text("a*b"), Err("`a*b` is not a match: expected text, abc*, *abc or *".to_owned()));
    assert!(text("").is_err());
}

#[test]
fn workloads() {
    takes(
        workload,
        &[
            "spiffe://weft.local/ns/shop/sa/clerk",
            "spiffe://td/a",
            "spiffe://td/A.b_c-9",
            "spiffe://*",
            "spiffe://weft.*",
            "spiffe://weft.local/*",
            "spiffe://weft.local/ns/*",
            "spiffe://weft.local/ns/sh*",
            "*/sa/clerk",
            "*clerk",
            "*",
        ],
    );
    check(workload, "td/ns/a/sa/b", Err("write spiffe://td/ns/a/sa/b"));
    check(workload, "td/ns/a/*", Err("write spiffe://td/ns/a/*"));
    refuses(workload, &["https://td/a", "SPIFFE://td/a", "spiffe:*"], "SPIFFE ids begin with spiffe://");
    refuses(workload, &["spiffe://td"], "the id of a workload has a path");
    let domain = "a trust domain has a-z, 0-9, `.`, `-` and `_` only";
    refuses(workload, &["spiffe://TD/a", "spiffe:///a", "spiffe://t:1/a", "spiffe:///*", "spiffe://T*"], domain);
    let path = "its path has an empty or dot segment, or a character that SPIFFE ids do not have";
    let bad = [
        "spiffe://td/",
        "spiffe://td/a/",
        "spiffe://td//a",
        "spiffe://td/../a",
        "spiffe://td/a%20",
        "spiffe://td/a//*",
    ];
    refuses(workload, &bad, path);
    refuses(workload, &["*/sa/é"], "a SPIFFE id has letters, digits, `.`, `-`, `_` and `/` only");
}

#[test]
fn subjects() {
    takes(subject, &["https://id.example/alice", "corp/alice", "https://id.example/*", "corp*", "*alice", "*"]);
    refuses(subject, &["alice", "/alice"], "expected ISSUER/SUBJECT");
    refuses(subject, &["spiffe://td/a", "SPIFFE:*"], "tokens prove no SPIFFE id; use `principals`");
}

#[test]
fn namespaces_and_names() {
    takes(namespace, &["shop", "Shop.x_1", "sh*", "*op", "*"]);
    refuses(namespace, &["a/b", "a b*"], "a namespace has letters, digits, `.`, `-` and `_` only");
    takes(name, &["orders", "orders-*", "*-dead", "*"]);
    refuses(name, &["Orders*", "*.x"], "a name has a-z, 0-9 and - only");
    assert!(name("Orders").is_err_and(|why| why.starts_with("`Orders` is not a name")));
    assert!(name("default/orders").is_err());
}

#[test]
fn hosts() {
    takes(host, &["a.example", "*.example", "a.*", "*", "10.0.0.1", "localhost", "a_b"]);
    check(host, "API.Example", Ok("api.example"));
    check(host, "FD00::0:1", Ok("[fd00::1]"));
    check(host, "[::1]", Ok("[::1]"));
    refuses(host, &["a.example:443", "*:443"], "leave out the port, which is not matched");
    refuses(host, &["https://a.example", "a/b"], "expected a host alone, without scheme and path");
    refuses(host, &["[::1]:80", "fd00::*", "[fd00*"], "IPv6 addresses are written whole");
    refuses(host, &["münchen.example"], "write internationalised names in punycode (xn--)");
    refuses(host, &["a.example.", "a..b", "*.example."], "leave out the dot at the end, and empty labels");
    refuses(host, &["a b", "a@b", "a%41"], "a host has letters, digits, `.`, `-` and `_` only");
}

#[test]
fn methods() {
    takes(method, &["GET", "M-SEARCH", "P*", "*"]);
    check(method, "get", Err("methods are upper case, write GET"));
    refuses(method, &["GET POST", "G3T"], "a method has A-Z and - only");
}

#[test]
fn sources_and_addresses() {
    takes(uri, &["/shop", "urn:shop:*", "*#1", "https://a.example/%C3%A4"]);
    refuses(uri, &["/a b", "/ä", "<a>"], "a source is a URI, percent-encoded");
    assert_eq!(ip_block("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
    assert!(ip_block("10.0.0.1/8").is_err());
    assert_eq!(path("/a/{*}").unwrap().to_string(), "/a/{*}");
    assert!(path("/a/../b").is_err());
    assert!(path(&format!("/{}", "a".repeat(BYTES))).is_err());
}
