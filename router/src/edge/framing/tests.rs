//! Whole connections as bytes, cut at every offset: the verdict must not depend on how they arrive.

use super::*;

/// Shows `bytes` to a new connection in two parts, as the gate does. Gives what passed and why it stopped.
fn run(bytes: &[u8], cut: usize) -> (usize, Option<Fault>, u64) {
    let mut framing = Framing::new();
    let mut passed = 0;
    for end in [cut, bytes.len()] {
        let advance = framing.advance(&bytes[passed..end]);
        passed += advance.pass;
        if advance.fault.is_some() {
            return (passed, advance.fault, framing.heads());
        }
    }
    (passed, None, framing.heads())
}

/// The heads that went on, and the fault, for every place the bytes can be cut at.
fn check(bytes: &str, heads: u64, fault: Option<&str>) {
    let bytes = bytes.as_bytes();
    for cut in 0..=bytes.len() {
        let (passed, found, count) = run(bytes, cut);
        let what = found.map(|fault| match fault {
            Fault::Head(why) | Fault::Body(why) => why.what,
        });
        assert_eq!((count, what), (heads, fault), "cut at {cut} of {:?}", String::from_utf8_lossy(bytes));
        assert!(fault.is_some() || passed == bytes.len(), "cut at {cut}: {passed} of {} passed", bytes.len());
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn sound_connections_pass_whole() {
    check(GET, 1, None);
    check(&GET.repeat(3), 3, None);
    check("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n", 2, None);
    check(&format!("\r\n\r\n{GET}\r\n{GET}\r\n"), 2, None);
    check(&format!("{CHUNKED}0\r\n\r\n{GET}"), 2, None);
    check(&format!("{CHUNKED}3\r\nabc\r\nA\r\n0123456789\r\n000\r\n\r\n{GET}"), 2, None);
    check(&format!("{CHUNKED}0\r\nX: y\r\nGrpc-Status: 0\r\n\r\n{GET}"), 2, None);
    check(&format!("{CHUNKED}1;a;b=c;d=\"e;\\\"\"\r\nx\r\n0;z\r\n\r\n{GET}"), 2, None);
    // The body looks like a request, and is not one.
    check(&format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n{GET}{GET}", GET.len()), 2, None);
}

#[test]
fn nothing_passes_after_a_fault() {
    let bare = Some("line ends with a bare line feed");
    check("GET / HTTP/1.1\n\n", 0, bare);
    check(&format!("{GET}GET / HTTP/1.1\r\nX: y\n\r\n{GET}"), 1, bare);
    check(&format!("\n{GET}"), 0, bare);
    let beside = Some("content-length stands beside transfer-encoding");
    check(
        &format!("{GET}POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GET}"),
        1,
        beside,
    );
    check(&format!("{}{GET}", "\r\n".repeat(5)), 0, Some("too many empty lines before the request line"));
    check(&format!("\r{GET}"), 0, Some("method is not a token"));
}

#[test]
fn broken_chunks() {
    let size = Some("chunk size is not hexadecimal");
    for body in [
        "\r\n", "x\r\n", " 1\r\na", "1 \r\na", "+1\r\na", "-1\r\n", "0x1\r\na", "1\na", "1\t\r\na", ";a\r\n", "g",
        "1,\r\n",
    ] {
        check(&format!("{CHUNKED}{body}"), 1, size);
    }
    let end = Some("chunk does not end with carriage return and line feed");
    for body in ["1\r\nab", "1\r\na\n", "1\r\na\rb", "1\r\r\na", "1\ra", "5\r\nABCDE0\r\n\r\n", "0\r\r\n"] {
        check(&format!("{CHUNKED}{body}"), 1, end);
    }
    for body in ["fffffffffff\r\n", "00000000000\r\n", "FFFFFFFFFFFFFFFF1\r\n"] {
        check(&format!("{CHUNKED}{body}"), 1, Some("chunk size is too large"));
    }
    let extension = Some("chunk extension is malformed");
    for body in [
        "1;\r\na",
        "1;a\n",
        "1;a=\r\na",
        "1;a=\"b\r\na",
        "1;a=\"b\"c\r\n",
        "1; a\r\n",
        "1;a b\r\n",
        "1;a=b\0\r\n",
        "1;=b\r\n",
        "1;;\r\n",
    ] {
        check(&format!("{CHUNKED}{body}"), 1, extension);
    }
    let long = format!("{CHUNKED}1;{}", "a".repeat(300));
    check(&long, 1, Some("chunk extensions are longer than 256 bytes"));
}

#[test]
fn broken_trailers() {
    let bare = Some("line ends with a bare line feed");
    check(&format!("{CHUNKED}0\r\nX: y\n\r\n"), 1, bare);
    check(&format!("{CHUNKED}0\r\n\n"), 1, bare);
    check(&format!("{CHUNKED}0\r\nX : y\r\n\r\n"), 1, Some("header has white space before its colon"));
    check(&format!("{CHUNKED}0\r\nTransfer-Encoding: gzip\r\n\r\n"), 1, Some("transfer-encoding is not `chunked`"));
    check(&format!("{CHUNKED}0\r\nGET / HTTP/1.1\r\n\r\n"), 1, Some("header has white space before its colon"));
    let many = format!("{CHUNKED}0\r\n{}\r\n", "X: y\r\n".repeat(101));
    check(&many, 1, Some("request has more than 100 header fields"));
}

/// Every split of the same bytes in single bytes, too.
#[test]
fn one_byte_at_a_time() {
    let bytes = format!("{CHUNKED}3;a=\"b\"\r\nabc\r\n0\r\nX: y\r\n\r\n\r\n{GET}");
    let mut framing = Framing::new();
    let mut passed = 0;
    for end in 1..=bytes.len() {
        let advance = framing.advance(&bytes.as_bytes()[passed..end]);
        assert_eq!(advance.fault, None);
        passed += advance.pass;
    }
    assert_eq!((passed, framing.heads(), framing.is_between_messages()), (bytes.len(), 2, true));
}
