//! Requests that could mean two things are refused, not repaired; and a refused request is never half a request. Rows
//! are sent byte for byte, each on a connection of its own.

use weft_tests::{Node, Project, manifest, raw};

/// A node with one function, which nothing of this module may reach.
async fn node(project: &Project) -> Node {
    project.start().await
}

fn project() -> Project {
    Project::new(&(manifest::function("echo", "echo", "") + &manifest::topic("orders", "")))
}

/// Sends the bytes and expects one refusal by the mesh, after which the connection is closed.
async fn check(node: &Node, bytes: &str, status: u16, code: &str, detail: &str) {
    let shown = bytes.escape_debug();
    let came = raw::exchange(node.http, bytes.as_bytes()).await;
    assert_eq!((came.answers(), came.status()), (1, Some(status)), "{shown}: {}", came.text());
    assert_eq!(came.header("content-type").as_deref(), Some("application/problem+json"), "{shown}");
    let problem: serde_json::Value = serde_json::from_str(&came.body()).unwrap_or_else(|_| panic!("{}", came.text()));
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{shown}: {problem}");
    assert_eq!(problem["decision"].as_str(), came.header("x-weft-decision").as_deref(), "{shown}");
    assert!(problem["detail"].as_str().is_some_and(|said| said.contains(detail)), "{shown}: {problem}");
}

/// What every module's rows end with: nothing got through, and the node still answers.
async fn nothing_got_through(node: &Node) {
    assert_eq!(node.function_count("echo", "calls").await, 0, "a refused request reached the function");
    assert!(node.events("orders").await.is_empty(), "a refused request reached the topic");
    assert_eq!(node.get("echo", "/").await.status, 200);
}

#[tokio::test]
async fn ambiguous_paths() {
    let project = project();
    let node = node(&project).await;
    for (path, detail) in [
        ("/admin/../x", "path contains a dot segment"),
        ("/./admin", "path contains a dot segment"),
        ("/a/..", "path contains a dot segment"),
        ("/...", "path contains a dot segment"),
        ("/x/%2e%2e/admin", "path contains an encoded dot"),
        ("/x/%2E%2e/admin", "path contains an encoded dot"),
        ("//admin", "path contains an empty segment"),
        ("/a//b", "path contains an empty segment"),
        ("/admin;x=y", "path contains a semicolon"),
        ("/a%3bb", "path contains an encoded semicolon"),
        ("/a\\b", "path contains a backslash"),
        ("/a%5cb", "path contains an encoded backslash"),
        ("/a%2fb", "path contains an encoded slash"),
        ("/a%2Fb", "path contains an encoded slash"),
        ("/%00", "path contains an encoded control character"),
        ("/a%0d%0ab", "path contains an encoded control character"),
        ("/%", "path has a `%` without two hex digits"),
        ("/%2", "path has a `%` without two hex digits"),
        ("/%zz", "path has a `%` without two hex digits"),
        ("/%252e%252e/admin", "path is percent-encoded twice"),
        ("/%25%32%65", "path is percent-encoded twice"),
        ("/%c0%ae", "path is not utf-8 once decoded"),
        ("/%ff", "path is not utf-8 once decoded"),
        ("/admin#x", "target contains a fragment"),
        ("/a\"b", "path has a character that must be percent-encoded"),
        ("/a|b", "path has a character that must be percent-encoded"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n");
        check(&node, &request, 400, "REQUEST_AMBIGUOUS", detail).await;
    }
    nothing_got_through(&node).await;
}

#[tokio::test]
async fn ambiguous_hosts() {
    let project = project();
    let node = node(&project).await;
    for (hosts, detail) in [
        ("", "host is missing"),
        ("Host:\r\n", "host is empty"),
        ("Host: echo.localhost\r\nHost: echo.localhost\r\n", "host is given more than once"),
        ("Host: echo.localhost\r\nhost: other.localhost\r\n", "host is given more than once"),
        ("Host: user@echo.localhost\r\n", "host contains user information"),
        ("Host: echo%2elocalhost\r\n", "host contains a `%`"),
        ("Host: [fe80::1%25eth0]\r\n", "host contains a `%`"),
        ("Host: echo..localhost\r\n", "host is not a dns name"),
        ("Host: echo.localhost..\r\n", "host is not a dns name"),
        ("Host: .localhost\r\n", "host is not a dns name"),
        ("Host: ec_ho.localhost\r\n", "host is not a dns name"),
        ("Host: -echo.localhost\r\n", "host is not a dns name"),
        ("Host: echo.localhost, other.localhost\r\n", "host is not a dns name"),
        ("Host: echo localhost\r\n", "host is not a dns name"),
        ("Host: echo.localhost:\r\n", "host's port is not a number"),
        ("Host: echo.localhost:80x\r\n", "host's port is not a number"),
        ("Host: echo.localhost:99999\r\n", "host's port is not a number"),
        ("Host: echo.localhost:080\r\n", "host's port is not a number"),
        ("Host: [::1\r\n", "host's bracket is not closed"),
        ("Host: [::1]x\r\n", "host's port is not a number"),
        ("Host: 127.1\r\n", "host is not an ipv4 address"),
        ("Host: 0x7f.1\r\n", "host is not an ipv4 address"),
    ] {
        let request = format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        check(&node, &request, 400, "REQUEST_AMBIGUOUS", detail).await;
    }
    let absolute = "GET http://echo.localhost/ HTTP/1.1\r\nHost: other.localhost\r\nConnection: close\r\n\r\n";
    check(&node, absolute, 400, "REQUEST_AMBIGUOUS", "host differs from the target's authority").await;
    nothing_got_through(&node).await;

    // Spellings that everybody reads alike are one host.
    for host in ["ECHO.localhost", "echo.localhost.", "echo.LOCALHOST:1", "echo.default.localhost"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(raw::exchange(node.http, request.as_bytes()).await.status(), Some(200), "{host}");
    }
}

#[tokio::test]
async fn ambiguous_framing() {
    let project = project();
    let node = node(&project).await;
    for (fields, detail) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "content-length stands beside transfer-encoding"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "content-length stands beside transfer-encoding"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "transfer-encoding is given more than once"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "transfer-encoding is given more than once"),
        ("Transfer-Encoding: chunked, identity\r\n", "transfer-encoding is not `chunked`"),
        ("Transfer-Encoding: identity\r\n", "transfer-encoding is not `chunked`"),
        ("Transfer-Encoding: xchunked\r\n", "transfer-encoding is not `chunked`"),
        ("Transfer-Encoding:\tchunked\r\n", "transfer-encoding is not `chunked`"),
        ("Transfer-Encoding: chunked \r\n", "transfer-encoding is not `chunked`"),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", "content-length is given more than once"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "content-length is given more than once"),
        ("Content-Length: +5\r\n", "content-length is not a number of bytes"),
        ("Content-Length: -5\r\n", "content-length is not a number of bytes"),
        ("Content-Length:  5\r\n", "content-length is not a number of bytes"),
        ("Content-Length: 5,5\r\n", "content-length is not a number of bytes"),
        ("Content-Length: 0x5\r\n", "content-length is not a number of bytes"),
        ("Content-Length: 99999999999999999999\r\n", "content-length is not a number of bytes"),
        ("Content-Length: \r\n", "content-length is not a number of bytes"),
        ("X-A: b\r\n c\r\n", "header is folded over several lines"),
        ("X-A : b\r\n", "header has white space before its colon"),
        ("X-A b\r\n", "header has white space before its colon"),
        ("X-A\r\n", "header name is not a token followed by a colon"),
        (": b\r\n", "header name is not a token followed by a colon"),
        ("X-A: b\nX-B: c\r\n", "line ends with a bare line feed"),
        ("X-A: b\rX-B: c\r\n", "header value contains a control character"),
        ("X-A: b\0c\r\n", "header value contains a control character"),
        ("x_forwarded_client_cert: a\r\n", "header name contains an underscore"),
        ("X_Weft_Principal: a\r\n", "header name contains an underscore"),
    ] {
        let request = format!("POST / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n{fields}\r\nhello");
        check(&node, &request, 400, "REQUEST_AMBIGUOUS", detail).await;
    }
    for (head, detail) in [
        ("GET / HTTP/1.1\nHost: echo.localhost\n\n", "line ends with a bare line feed"),
        ("GET / HTTP/1.1\r\nHost: echo.localhost\r\n\n\r\n", "line ends with a bare line feed"),
        ("GET  / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n", "request line is not method, target and version"),
        ("GET /\r\n\r\n", "request line is not method, target and version"),
        ("GET / HTTP/1.1 x\r\nHost: echo.localhost\r\n\r\n", "request line is not method, target and version"),
        ("get / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\n\r\n", "method is not in upper case"),
        ("G(T / HTTP/1.1\r\nHost: echo.localhost\r\n\r\n", "method is not a token"),
    ] {
        check(&node, head, 400, "REQUEST_AMBIGUOUS", detail).await;
    }
    let old = "POST / HTTP/1.0\r\nHost: echo.localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    check(&node, old, 400, "REQUEST_AMBIGUOUS", "transfer-encoding is not part of http/1.0").await;
    nothing_got_through(&node).await;
}

#[tokio::test]
async fn what_is_not_offered_or_too_large_says_so() {
    let project = project();
    let node = node(&project).await;
    let host = "Host: echo.localhost\r\nConnection: close\r\n";
    for (request, status, code, detail) in [
        (format!("TRACE / HTTP/1.1\r\n{host}\r\n"), 405, "ROUTE_METHOD", "allowed here"),
        (
            "CONNECT echo.localhost:80 HTTP/1.1\r\nHost: echo.localhost:80\r\n\r\n".to_owned(),
            501,
            "UNSUPPORTED",
            "method CONNECT is not offered",
        ),
        (
            "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n".to_owned(),
            501,
            "UNSUPPORTED",
            "upgrade is not offered",
        ),
        (
            "GET / HTTP/1.1\r\nHost: echo.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
            501,
            "UNSUPPORTED",
            "upgrade is not offered",
        ),
        (format!("GET / HTTP/2.0\r\n{host}\r\n"), 501, "UNSUPPORTED", "version is not http/1.1 or http/1.0"),
        (format!("GET /{} HTTP/1.1\r\n{host}\r\n", "a".repeat(9_000)), 414, "URI_TOO_LONG", "8 KiB"),
        (format!("GET / HTTP/1.1\r\n{host}X-Big: {}\r\n\r\n", "b".repeat(40_000)), 431, "HEAD_TOO_LARGE", "32 KiB"),
        (
            format!("GET / HTTP/1.1\r\n{host}{}\r\n", "X-A: b\r\n".repeat(101)),
            431,
            "HEAD_TOO_LARGE",
            "100 header fields",
        ),
        (
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 99000000\r\n\r\n"),
            413,
            "REQUEST_TOO_LARGE",
            "16777216 bytes",
        ),
    ] {
        check(&node, &request, status, code, detail).await;
    }
    nothing_got_through(&node).await;
}

#[tokio::test]
async fn a_refused_request_smuggles_nothing_behind_it() {
    let project = project();
    let node = node(&project).await;
    let good = "GET /good HTTP/1.1\r\nHost: echo.localhost\r\n\r\n";
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: echo.localhost\r\n\r\n";
    for bad in [
        "POST / HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: echo.localhost\r\nContent-Length: 0\r\nContent-Length: 44\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: echo.localhost\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "CONNECT echo.localhost:80 HTTP/1.1\r\nHost: echo.localhost:80\r\n\r\n",
    ] {
        let before = node.function_count("echo", "calls").await;
        let came = raw::exchange(node.http, format!("{good}{bad}{smuggled}").as_bytes()).await;
        let text = came.text();
        assert_eq!((came.answers(), came.status()), (2, Some(200)), "{}: {text}", bad.escape_debug());
        assert!(text.contains("/good") && !text.contains("/smuggled"), "{}: {text}", bad.escape_debug());
        assert_eq!(node.function_count("echo", "calls").await, before + 1, "{}", bad.escape_debug());
    }
}

#[tokio::test]
async fn chunks_that_lie_break_the_request_and_its_connection() {
    let project = project();
    let node = node(&project).await;
    for body in [
        "5\r\nhelloX0\r\n\r\n",
        "5;ext=\"a\nb\"\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "\r\nhello",
    ] {
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: echo.localhost\r\n\r\n";
        let request =
            format!("POST /in HTTP/1.1\r\nHost: echo.localhost\r\nTransfer-Encoding: chunked\r\n\r\n{body}{smuggled}");
        let came = raw::exchange(node.http, request.as_bytes()).await;
        let shown = body.escape_debug();
        assert!(came.answers() <= 1, "{shown}: {}", came.text());
        assert_ne!(came.status(), Some(200), "{shown}: {}", came.text());
        assert!(!came.text().contains("/smuggled"), "{shown}: {}", came.text());
    }
    assert_eq!(node.get("echo", "/").await.status, 200);
}

#[tokio::test]
async fn trailers_say_nothing_that_a_head_must_say() {
    let project = project();
    let node = node(&project).await;
    let request = "POST /in HTTP/1.1\r\nHost: echo.localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\nx-weft-principal: forged\r\nauthorization: forged\r\nhost: forged\r\n\r\n";
    let came = raw::exchange(node.http, request.as_bytes()).await;
    assert_eq!(came.status(), Some(200), "{}", came.text());
    assert!(came.text().contains("\"body\":\"hello\"") && !came.text().contains("forged"), "{}", came.text());
}
