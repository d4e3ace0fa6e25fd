//! Heads as bytes: A-06, A-08, A-09, A-12.

use super::*;

fn read(head: &str) -> Result<Option<Section>, (u16, &'static str)> {
    SectionReader::head().advance(head.as_bytes()).map_err(|e| (e.status.as_u16(), e.what))
}

/// What follows a head with these field lines.
fn check(fields: &str, expect: Result<BodyFraming, &str>) {
    let head = format!("POST /a?b HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let body = read(&head).map(|section| section.unwrap().body).map_err(|(_, what)| what);
    assert_eq!(body, expect, "{fields:?}");
}

#[test]
fn content_length() {
    check("", Ok(BodyFraming::Length(0)));
    check("Content-Length: 0\r\n", Ok(BodyFraming::Length(0)));
    check("content-length:5\r\n", Ok(BodyFraming::Length(5)));
    check("CONTENT-LENGTH: 003\r\n", Ok(BodyFraming::Length(3)));
    check("X-Content-Length: 7\r\nX: \u{e9}\t y \r\nEmpty:\r\n", Ok(BodyFraming::Length(0)));
    let number = Err("content-length is not a number of bytes");
    for value in [
        "+5",
        "-5",
        " 5",
        "5 ",
        "\t5",
        "5\t",
        "5,5",
        "5, 5",
        "0x5",
        "5a",
        "",
        " ",
        "1 2",
        "5.0",
        "9007199254740993",
        "18446744073709551616",
        "1000000000000000000000",
        "\"5\"",
        "٥",
    ] {
        check(&format!("Content-Length: {value}\r\n"), number);
    }
    let twice = Err("content-length is given more than once");
    check("Content-Length: 5\r\nContent-Length: 5\r\n", twice);
    check("Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n", twice);
}

#[test]
fn transfer_encoding() {
    check("Transfer-Encoding: chunked\r\n", Ok(BodyFraming::Chunked));
    check("transfer-encoding:CHUNKED\r\n", Ok(BodyFraming::Chunked));
    let beside = Err("content-length stands beside transfer-encoding");
    check("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", beside);
    check("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", beside);
    check("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", beside);
    check("Transfer-Encoding: chunked\r\nContent-Length: x\r\n", beside);
    check(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err("transfer-encoding is given more than once"),
    );
    let coding = Err("transfer-encoding is not `chunked`");
    for value in [
        "identity",
        "gzip",
        "chunked, identity",
        "identity, chunked",
        "gzip, chunked",
        "xchunked",
        "chunkedx",
        " chunked",
        "\tchunked",
        "chunked ",
        "chunked\t",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "\"chunked\"",
        "",
        "cow",
    ] {
        check(&format!("Transfer-Encoding: {value}\r\n"), coding);
    }
    check("Transfer-Encoding:\r\n chunked\r\n", coding);
}

#[test]
fn field_lines() {
    let colon = Err("header has white space before its colon");
    for fields in ["Transfer-Encoding : chunked\r\n", "Content-Length\t: 5\r\n", "X : y\r\n"] {
        check(fields, colon);
    }
    let fold = Err("header is folded over several lines");
    for fields in ["X: a\r\n b\r\n", "X: a\r\n\tb\r\n", " X: a\r\n"] {
        check(fields, fold);
    }
    let bare = Err("line ends with a bare line feed");
    for fields in ["X: y\n", "X: y\nContent-Length: 5\r\n", "\n", "X:\nY: z\r\n", "Content-Length: 5\n\r\n"] {
        check(fields, bare);
    }
    let control = Err("header value contains a control character");
    for fields in [
        "X: a\rb\r\n",
        "X: a\0\r\n",
        "X: \r\r\n",
        "X: \u{7f}\r\n",
        "X: \u{1}\r\n",
        "Transfer-Encoding: chunked\u{b}\r\n",
        "X:\rTransfer-Encoding: chunked\r\n",
    ] {
        check(fields, control);
    }
    let name = Err("header name is not a token followed by a colon");
    for fields in [": x\r\n", "X\r\n", "X@: y\r\n", "(X): y\r\n", "X\0: y\r\n", "X\rY: z\r\n", "é: x\r\n", "\r: x\r\n"]
    {
        check(fields, name);
    }
}

#[test]
fn request_lines() {
    let check = |line: &str, expect: Result<(), (u16, &str)>| {
        assert_eq!(read(&format!("{line}\r\n\r\n")).map(|section| assert!(section.is_some())), expect, "{line:?}");
    };
    for line in ["GET / HTTP/1.1", "GET / HTTP/1.0", "get / HTTP/1.1", "OPTIONS * HTTP/1.1", "GET http://a/ HTTP/1.1"] {
        check(line, Ok(()));
    }
    let words = Err((400, "request line is not method, target and version"));
    for line in [
        "",
        "GET",
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET /a b HTTP/1.1",
        " GET / HTTP/1.1 x",
        "GET /  HTTP/1.1",
    ] {
        check(line, words);
    }
    for line in [" / HTTP/1.1", "G@T / HTTP/1.1", "G\0T / HTTP/1.1", "\tGET / HTTP/1.1", "(GET) / HTTP/1.1"] {
        check(line, Err((400, "method is not a token")));
    }
    check(&format!("{} / HTTP/1.1", "A".repeat(33)), Err((400, "method is longer than 32 bytes")));
    for line in ["GET /\t HTTP/1.1", "GET /é HTTP/1.1", "GET /\0 HTTP/1.1", "GET /\u{7f} HTTP/1.1", "GET  HTTP/1.1"] {
        check(line, Err((400, "target has a byte that must be percent-encoded")));
    }
    for line in ["GET /a#b HTTP/1.1", "GET /?a#b HTTP/1.1", "GET # HTTP/1.1"] {
        check(line, Err((400, "target contains a fragment")));
    }
    for line in ["GET / HTTP/2.0", "GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/5.6"] {
        check(line, Err((505, "version is not http/1.1 or http/1.0")));
    }
    for line in
        ["GET / ICE/1.0", "GET / http/1.1", "GET / HTTP/1", "GET / HTTP/1.10", "GET / HTTP/1.1\r", "GET / IHTTP/1.0"]
    {
        check(line, Err((400, "request line has no http version")));
    }
    let chunked_10 = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked";
    check(chunked_10, Err((400, "transfer-encoding is not part of http/1.0")));
    check("GET / HTTP/1.1\r\n ", Err((400, "header is folded over several lines")));
    assert_eq!(read("GET / HTTP/1.1\n\r\n").unwrap_err().1, "line ends with a bare line feed");
    assert_eq!(read("GET / HTTP/1.1\r\n\n").unwrap_err().1, "line ends with a bare line feed");
}

#[test]
fn sizes() {
    let status = |head: &str| read(head).map(|section| section.is_some()).map_err(|(status, _)| status);
    let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(n));
    assert_eq!(status(&fields(MAX_FIELDS)), Ok(true));
    assert_eq!(status(&fields(MAX_FIELDS + 1)), Err(431));
    let sized = |n: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(n - 23));
    assert_eq!(sized(100).len(), 100);
    assert_eq!(status(&sized(MAX_HEAD)), Ok(true));
    assert_eq!(status(&sized(MAX_HEAD + 1)), Err(431));
    // Refused before it ends.
    assert_eq!(status(&sized(MAX_HEAD + 100)[..MAX_HEAD + 1]), Err(431));
    let target = |n: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(n - 1));
    assert_eq!(status(&target(MAX_TARGET)), Ok(true));
    assert_eq!(status(&target(MAX_TARGET + 1)), Err(414));
    assert_eq!(status(&target(64 * 1024)[..MAX_REQUEST_LINE + 1]), Err(414));
    assert_eq!(status(&"A".repeat(MAX_REQUEST_LINE + 1)), Err(414));
}
