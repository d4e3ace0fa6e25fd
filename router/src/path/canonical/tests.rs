//! The spellings of E-01, E-02, E-04, A-06, A-12, A-15 and B-09, row by row.

use http::{Method, Request, StatusCode, Version, request::Parts};

use super::path::canonical_path;
use super::*;

/// A request as hyper would hand it over. `header` lines are `name: value`.
fn head(method: &str, target: &str, version: Version, headers: &[&str]) -> Parts {
    let mut request = Request::builder().method(method).uri(target).version(version);
    for line in headers {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}

fn get(target: &str) -> Result<Canonical, Ambiguous> {
    canonicalise(&head("GET", target, Version::HTTP_11, &["host: a.example"]))
}

#[test]
fn canonical_paths_stay_as_they_are() {
    let check = |path: &str| {
        let canonical = canonical_path(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(canonical, path);
        assert!(matches!(canonical, Cow::Borrowed(_)), "{path} was copied");
    };
    check("/");
    check("/admin");
    check("/ADMIN");
    check("/admin/");
    check("/a/b/c.txt");
    check("/.well-known/x");
    check("/a..b");
    check("/..a");
    check("/a.");
    check("/a..");
    check("/@scope/pkg");
    check("/a:b");
    check("/a!$&'()*+,=b");
    check("/a-b_c~d");
    check("/a%20b");
    check("/a%20");
    check("/caf%C3%A9");
    check("/%E2%82%AC");
    check("/%F0%9F%98%80/x");
    check("/100%25");
    check("/100%25/x");
    check("/100%25g0");
    check("/what%3Fnow");
    check("/a%23b");
    check("/a%22b%3Cc%3E");
    check("/%7Cx%7B%7D%5B%5D");
}

#[test]
fn equal_paths_get_one_spelling() {
    let check = |path: &str, expect: &str| assert_eq!(canonical_path(path).as_deref(), Ok(expect), "{path}");
    check("/%61dmin", "/admin");
    check("/adm%69n", "/admin");
    check("/%41DMIN", "/ADMIN");
    check("/a%7Eb", "/a~b");
    check("/a%7eb", "/a~b");
    check("/a%2Db", "/a-b");
    check("/a%5fb", "/a_b");
    check("/me%40a.example", "/me@a.example");
    check("/a%3Ab", "/a:b");
    check("/a%21%24%26%27%28%29%2A%2B%2C%3D", "/a!$&'()*+,=");
    check("/caf%c3%a9", "/caf%C3%A9");
    check("/a%3fb", "/a%3Fb");
    check("/%30", "/0");
    check("/a%25%32", "/a%252");
}

fn refuses(expect: &str, paths: &[&str]) {
    for path in paths {
        let refused = canonical_path(path).expect_err(path);
        assert_eq!((refused.what, refused.status), (expect, StatusCode::BAD_REQUEST), "{path}");
    }
}

#[test]
fn segments_that_readers_resolve_differently_are_refused() {
    refuses(
        "path contains a dot segment",
        &[
            "/.",
            "/..",
            "/./",
            "/../",
            "/admin/../x",
            "/x/../admin",
            "/./admin",
            "/admin/.",
            "/admin/..",
            "/a/./b",
            "/...",
            "/a/.../b",
            "/a/....",
        ],
    );
    refuses(
        "path contains an encoded dot",
        &[
            "/%2e",
            "/%2E",
            "/x/%2e%2e/admin",
            "/x/%2E%2E/admin",
            "/x/.%2e/admin",
            "/x/%2e./admin",
            "/%2e/admin",
            "/a%2Etxt",
            "/%2e%2e%2fadmin",
        ],
    );
    refuses(
        "path contains an empty segment",
        &["//", "//admin", "/admin//", "/a//b", "///", "/a/b//c", "//a.example/admin"],
    );
}

#[test]
fn octets_that_readers_take_for_others_are_refused() {
    refuses(
        "path contains an encoded slash",
        &["/%2f", "/%2F", "/%2fadmin", "/x%2f..%2fadmin", "/admin%2Fx", "/a/%2F/b", "/%61%2fb"],
    );
    refuses("path contains an encoded backslash", &["/%5c", "/%5C", "/x%5c..%5cadmin", "/admin%5Cx"]);
    refuses("path contains a backslash", &["/\\admin", "/x\\..\\admin", "/admin\\", "/%61\\"]);
    refuses(
        "path contains a semicolon",
        &["/admin;x=y", "/;/admin", "/admin;", "/a;b/c", "/..;/admin", "/.;/admin", "/%61;"],
    );
    refuses("path contains an encoded semicolon", &["/admin%3bx=y", "/..%3B/admin", "/%3b"]);
    refuses(
        "path contains an encoded control character",
        &["/%00", "/admin%00", "/admin%00.txt", "/%01", "/%0a", "/%0D%0A", "/%09", "/%1f", "/%7f", "/%7F"],
    );
    refuses("path contains a control character", &["/\0", "/a\tb", "/a\nb", "/a\r", "/\u{7f}"]);
    refuses(
        "path has a `%` without two hex digits",
        &["/%", "/%4", "/%g0", "/%0g", "/a%", "/%%41", "/%u002e", "/% 41", "/%-1", "/%+1"],
    );
    refuses(
        "path is percent-encoded twice",
        &[
            "/%252e",
            "/%252e%252e/admin",
            "/%252f",
            "/%255c",
            "/%2561dmin",
            "/%25%32%65",
            "/%25%32e",
            "/%252%65",
            "/%25252e",
            "/%25%2532%65",
        ],
    );
    refuses(
        "path is not utf-8 once decoded",
        &[
            "/%ff",
            "/%c0%af",
            "/%c0%ae%c0%ae/admin",
            "/%e0%80%af",
            "/%ed%a0%80",
            "/%C3",
            "/%C3/%A9",
            "/%A9",
            "/%80",
            "/%f8%88%80%80%80",
            "/%f4%90%80%80",
        ],
    );
    refuses(
        "path has a character that must be percent-encoded",
        &["/a b", "/a\"", "/<", "/>", "/^", "/`", "/{", "/}", "/|", "/[", "/]", "/é", "/a?b", "/%61 "],
    );
    refuses("path contains a fragment", &["/a#b"]);
    refuses("path does not start with `/`", &["", "admin", "*", "?", "%2fadmin", "http://a/"]);
}

/// E-01's table: all `%XX` at four positions, in paths of depth 1 to 3.
#[test]
fn every_octet_is_refused_or_has_one_spelling() {
    for octet in 0..=255_u8 {
        for depth in 0..3 {
            for position in ["{}admin", "adm{}in", "admin{}", "admin/{}"] {
                let prefix = "/x".repeat(depth);
                let upper = format!("{prefix}/{}", position.replace("{}", &format!("%{octet:02X}")));
                let lower = format!("{prefix}/{}", position.replace("{}", &format!("%{octet:02x}")));
                let canonical = canonical_path(&upper);
                assert_eq!(canonical, canonical_path(&lower), "{upper}");
                let twice = octet == b'%' && position == "{}admin";
                let refused = twice || matches!(octet, b'/' | b'\\' | b'.' | b';' | 0..=0x1f | 0x7f..);
                assert_eq!(canonical.is_err(), refused, "{upper}");
                let Ok(canonical) = canonical else { continue };
                assert_eq!(canonical_path(&canonical).as_ref(), Ok(&canonical), "{upper} is not stable");
                if octet.is_ascii_alphanumeric() {
                    assert!(!canonical.contains('%'), "{upper}");
                }
            }
        }
    }
}

#[test]
fn the_query_is_kept_byte_for_byte() {
    let check = |target: &str, path: &str, query: Option<&str>| {
        let canonical = get(target).unwrap_or_else(|e| panic!("{target}: {e}"));
        assert_eq!((canonical.path(), canonical.query()), (path, query), "{target}");
    };
    check("/a?x=../..&y=%2f;%2e", "/a", Some("x=../..&y=%2f;%2e"));
    check("/a?", "/a", Some(""));
    check("/a", "/a", None);
    check("/%61?%61", "/a", Some("%61"));
    check("/%61?", "/a", Some(""));
    check("/?a?b//c", "/", Some("a?b//c"));
    check("http://a.example", "/", None);
    check("http://a.example/x?q", "/x", Some("q"));
    check("https://a.example/%61", "/a", None);
    check("http://a.example?q=/../", "/", Some("q=/../"));
    // `http` cuts a fragment off before we see it; HTTP/1 refuses it in the raw head.
    check("/a#b", "/a", None);
    check("/a?q#b", "/a", Some("q"));
    let refused = head("GET", "/a?é", Version::HTTP_2, &["host: a.example"]);
    assert_eq!(canonicalise(&refused).unwrap_err().what, "query has a byte that must be percent-encoded");
}

#[test]
fn a_canonical_target_is_shared_not_copied() {
    let head = head("GET", "/a/b?c", Version::HTTP_11, &["host: a.example"]);
    let before = head.uri.path_and_query().unwrap().as_str().as_ptr();
    assert_eq!(canonicalise(&head).unwrap().target().as_str().as_ptr(), before);
}

#[test]
fn long_targets_are_414() {
    let target = |len: usize| format!("/{}", "a".repeat(len - 1));
    assert!(get(&target(MAX_TARGET)).is_ok());
    assert_eq!(get(&target(MAX_TARGET + 1)).unwrap_err().status, StatusCode::URI_TOO_LONG);
    assert_eq!(get(&format!("/?{}", target(MAX_TARGET))).unwrap_err().status, StatusCode::URI_TOO_LONG);
}

#[test]
fn hosts_have_one_spelling() {
    let check = |text: &str, host: &str, port: Option<u16>| {
        let expect = Authority { host: host.into(), port };
        assert_eq!(authority::parse(text), Ok(expect), "{text}");
    };
    check("a", "a", None);
    check("localhost", "localhost", None);
    check("A.Example", "a.example", None);
    check("a.example.", "a.example", None);
    check("a.example.:80", "a.example", Some(80));
    check("hello.default.localhost:8080", "hello.default.localhost", Some(8080));
    check("a.example:65535", "a.example", Some(65535));
    check("xn--bcher-kva.example", "xn--bcher-kva.example", None);
    check("XN--BCHER-KVA.example", "xn--bcher-kva.example", None);
    check("a-b.c--d", "a-b.c--d", None);
    check("1a.2b", "1a.2b", None);
    check("1.example", "1.example", None);
    check("127.0.0.1", "127.0.0.1", None);
    check("127.0.0.1:80", "127.0.0.1", Some(80));
    check("127.0.0.1.", "127.0.0.1", None);
    check("[::1]", "[::1]", None);
    check("[::1]:80", "[::1]", Some(80));
    check("[0:0:0:0:0:0:0:1]", "[::1]", None);
    check("[2001:DB8::A]", "[2001:db8::a]", None);
    check(&"a".repeat(63), &"a".repeat(63), None);
}

#[test]
fn hosts_that_readers_take_for_another_are_refused() {
    let check = |text: &str, expect: &str| {
        let refused = authority::parse(text).expect_err(text);
        assert_eq!((refused.what, refused.status), (expect, StatusCode::BAD_REQUEST), "{text}");
    };
    check("", "host is empty");
    for text in ["user@a", "user:pw@a", "@a", "a@", "a.example@evil:80"] {
        check(text, "host contains user information");
    }
    for text in ["a%2eexample", "%61", "[fe80::1%25eth0]", "[fe80::1%eth0]", "a%00"] {
        check(text, "host contains a `%`");
    }
    let name = "host is not a dns name";
    for text in [
        ".",
        "..",
        ".a",
        "a..b",
        "a..",
        "-a",
        "a-",
        "a.-b",
        "a_b",
        "a b",
        " a",
        "a ",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a,b",
        "a;b",
        "*",
        "*.a",
        "bücher.example",
        "a\0",
        "a\t",
        ":80",
        "a.example.:80.",
        "{a}",
        "a|b",
        "ａ",
    ] {
        let expect = if text == "a.example.:80." { "host's port is not a number" } else { name };
        check(text, expect);
    }
    check(&"a".repeat(64), name);
    check(&format!("{}a", "a.".repeat(127)), name);
    for text in
        ["127.1", "1", "2130706433", "0x7f.1", "0x7f000001", "127.0.0.01", "256.0.0.1", "1.2.3.4.5", "a.1", "a.0x"]
    {
        check(text, "host is not an ipv4 address");
    }
    for text in
        ["a:", "a:x", "a:+80", "a:-1", "a:65536", "a:080", "a:0", "a:80:80", "a: 80", "a:80 ", "[::1]:", "[::1]x"]
    {
        check(text, "host's port is not a number");
    }
    for text in ["[", "[::1", "[::1:80"] {
        check(text, "host's bracket is not closed");
    }
    for text in ["[]", "[a]", "[127.0.0.1]", "[::g]", "[v1.a]", "[ ::1]", "[1:2]"] {
        check(text, "host is not an ipv6 address");
    }
    check("::1", "host is not a dns name");
}

#[test]
fn there_is_exactly_one_authority() {
    let ok = |version, target: &str, headers: &[&str], host: &str| {
        let canonical = canonicalise(&head("GET", target, version, headers));
        assert_eq!(canonical.map(|c| c.host.to_string()), Ok(host.to_owned()), "{target} {headers:?}");
    };
    let refused = |version, target: &str, headers: &[&str], expect: &str| {
        let refused = canonicalise(&head("GET", target, version, headers)).map(|c| c.host);
        assert_eq!(refused.map_err(|e| e.what), Err(expect), "{target} {headers:?}");
    };
    let (h10, h11, h2) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
    ok(h11, "/", &["host: a"], "a");
    ok(h11, "http://a/", &["host: A."], "a");
    ok(h11, "http://a:80/", &["host: a:80"], "a");
    ok(h10, "/", &["host: a"], "a");
    ok(h10, "http://a/", &[], "a");
    ok(h2, "http://a/", &[], "a");
    ok(h2, "http://a/", &["host: a"], "a");
    ok(h2, "/", &["host: a"], "a");
    let missing = "host is missing";
    refused(h11, "/", &[], missing);
    refused(h10, "/", &[], missing);
    refused(h2, "/", &[], missing);
    refused(h11, "http://a/", &[], missing);
    let differs = "host differs from the target's authority";
    refused(h11, "http://a/", &["host: b"], differs);
    refused(h11, "http://a/", &["host: a:80"], differs);
    refused(h11, "http://a:81/", &["host: a:80"], differs);
    refused(h2, "http://a/", &["host: b"], differs);
    refused(h2, "https://a:443/", &["host: a"], differs);
    let twice = "host is given more than once";
    refused(h11, "/", &["host: a", "host: a"], twice);
    refused(h11, "/", &["host: a", "host: b"], twice);
    refused(h2, "http://a/", &["host: a", "host: a"], twice);
    refused(h11, "/", &["host: "], "host is empty");
    refused(h11, "/", &["host: a, b"], "host is not a dns name");
    refused(h11, "/", &["host: user@a"], "host contains user information");
    refused(h11, "http://user@a/", &["host: a"], "host contains user information");
    refused(h11, "/", &["host: é"], "host is not ascii");
    refused(h2, "ftp://a/", &[], "target's scheme is not http or https");
}

#[test]
fn targets_and_methods() {
    let check = |method: &str, target: &str, headers: &[&str], expect: Result<&str, (u16, &str)>| {
        let headers = [&["host: a.example"], headers].concat();
        let canonical = canonicalise(&head(method, target, Version::HTTP_11, &headers));
        let canonical = canonical.map(|c| c.method.to_string()).map_err(|e| (e.status.as_u16(), e.what));
        assert_eq!(canonical, expect.map(str::to_owned), "{method} {target} {headers:?}");
    };
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "M-SEARCH", "QUERY", "REPORT"] {
        check(method, "/", &[], Ok(method));
    }
    check("CONNECT", "a.example:443", &[], Err((501, "method CONNECT is not offered")));
    check("CONNECT", "/", &[], Err((501, "method CONNECT is not offered")));
    check("TRACE", "/", &[], Err((405, "method TRACE is not allowed")));
    check("TRACK", "/", &[], Err((405, "method TRACE is not allowed")));
    for method in ["get", "Get", "pOST", "G_T", "GET!", "G3T"] {
        check(method, "/", &[], Err((400, "method is not in upper case")));
    }
    check(&"A".repeat(32), "/", &[], Ok(&"A".repeat(32)));
    check(&"A".repeat(33), "/", &[], Err((400, "method is longer than 32 bytes")));
    check(&"A".repeat(1024), "/", &[], Err((400, "method is longer than 32 bytes")));
    check("GET", "/", &["x-http-method-override: DELETE"], Ok("GET"));
    check("POST", "/", &["x-http-method: DELETE", "x-method-override: PUT"], Ok("POST"));
    check("OPTIONS", "*", &[], Err((400, "path does not start with `/`")));
    check("GET", "*", &[], Err((400, "path does not start with `/`")));
    check("GET", "/", &["upgrade: h2c", "connection: upgrade"], Err((501, "upgrade is not offered")));
    check("GET", "/", &["upgrade: websocket"], Err((501, "upgrade is not offered")));
    check("GET", "/", &["upgrade-insecure-requests: 1"], Ok("GET"));
    check("GET", "a.example", &[], Err((400, "target has no path")));
}

#[test]
fn headers() {
    let check = |version, headers: &[&str], expect: Result<(), &str>| {
        let headers = [&["host: a.example"], headers].concat();
        let canonical = canonicalise(&head("GET", "/", version, &headers));
        assert_eq!(canonical.map(|_| ()).map_err(|e| e.what), expect, "{headers:?}");
    };
    let (h1, h2) = (Version::HTTP_11, Version::HTTP_2);
    let underscore = Err("header name contains an underscore");
    for name in ["x_forwarded_client_cert", "x-forwarded_for", "content_length", "_", "a_", "_a", "transfer_encoding"] {
        check(h1, &[&format!("{name}: 1")], underscore);
        check(h2, &[&format!("{name}: 1")], underscore);
    }
    check(h1, &["x-a: b_c"], Ok(()));
    check(h1, &["connection: keep-alive", "te: trailers, deflate"], Ok(()));
    check(h1, &["content-length: 1", "content-length: 1"], Err("content-length is given more than once"));
    check(h2, &["content-length: 1", "content-length: 2"], Err("content-length is given more than once"));
    check(h2, &["content-length: 1"], Ok(()));
    check(h2, &["te: trailers"], Ok(()));
    check(h2, &["te: gzip"], Err("te may only be `trailers` in http/2"));
    check(h2, &["te: trailers", "te: gzip"], Err("te may only be `trailers` in http/2"));
    let hop = Err("http/2 request has a connection header");
    for line in
        ["connection: close", "keep-alive: 5", "proxy-connection: x", "transfer-encoding: chunked", "upgrade: x"]
    {
        check(h2, &[line], hop);
    }
}

#[test]
fn the_method_is_the_one_that_came() {
    let canonical = canonicalise(&head("POST", "/", Version::HTTP_2, &["host: a"])).unwrap();
    assert_eq!(canonical.method, Method::POST);
}
