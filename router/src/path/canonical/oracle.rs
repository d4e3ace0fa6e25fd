//! E-01's oracle: five readers of paths, each naive in its own way. Whatever one of them would place under a denied prefix
//! is refused, or is under it already in our own spelling. The readers are written to be wrong in known ways, not shared
//! with the code under test.

use proptest::prelude::*;

use super::path::canonical_path;

const DENIED: &str = "/admin";

fn is_denied(path: &str) -> bool {
    path == DENIED || path.strip_prefix(DENIED).is_some_and(|rest| rest.starts_with('/'))
}

/// Percent-decodes once what is well formed; bytes that are not UTF-8 become replacement characters.
fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let digits = path.get(at + 1..at + 3).filter(|d| bytes[at] == b'%' && d.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits {
            Some(digits) => {
                out.push(u8::from_str_radix(digits, 16).unwrap());
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 3986 section 5.2.4.
fn remove_dots(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    for segment in segments {
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    format!("/{}", out.join("/"))
}

fn rfc3986(path: &str) -> String {
    remove_dots(&decode(path))
}

/// Browsers: backslashes are slashes, tabs and line ends vanish, `%2e` is a dot, the rest stays encoded.
fn whatwg(path: &str) -> String {
    let path: String = path.chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
    let path = path.replace('\\', "/").replace("%2e", ".").replace("%2E", ".");
    remove_dots(path.split('#').next().unwrap_or_default())
}

fn decode_twice(path: &str) -> String {
    remove_dots(&decode(&decode(path)).replace('\\', "/"))
}

/// Servlet containers: parameters go, before and after decoding; a NUL ends the path.
fn strip_parameters(path: &str) -> String {
    let strip = |path: &str| -> String {
        path.split('/').map(|s| s.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
    };
    let decoded = strip(&decode(&strip(path)));
    remove_dots(decoded.split('\0').next().unwrap_or_default())
}

fn merge_slashes(path: &str) -> String {
    let decoded = decode(path);
    let segments: Vec<&str> = decoded.split('/').filter(|s| !s.is_empty()).collect();
    remove_dots(&format!("/{}", segments.join("/")))
}

/// A name and how it resolves a path.
type Reader = (&'static str, fn(&str) -> String);

const READERS: [Reader; 5] = [
    ("rfc 3986", rfc3986),
    ("whatwg", whatwg),
    ("decode twice", decode_twice),
    ("strip parameters", strip_parameters),
    ("merge slashes", merge_slashes),
];

/// Fails if a reader, given what came or what we forward, is under the prefix while our own spelling is not.
fn check(path: &str) -> Result<(), String> {
    let Ok(canonical) = canonical_path(path) else { return Ok(()) };
    for (name, reader) in READERS {
        for seen in [path, &canonical] {
            if is_denied(&reader(seen)) && !is_denied(&canonical) {
                return Err(format!("{name} reads {seen:?} as {:?}, we as {canonical:?}", reader(seen)));
            }
        }
    }
    Ok(())
}

fn piece() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "/",
        "/",
        "//",
        "admin",
        "admin",
        "adm",
        "in",
        "Admin",
        "x",
        ".",
        "..",
        "%2e",
        "%2E",
        "%252e",
        "%25",
        "2e",
        "%2f",
        "%252F",
        "%5c",
        "\\",
        ";",
        ";x=y",
        "%3b",
        "%00",
        "%61",
        "%6D",
        "%2561",
        "%c0%ae",
        "%c0%af",
        "%ef%bc%8f",
        "%",
        "%4",
        "?",
        "#",
        "%23",
        "%3F",
        "%20",
        " ",
        "\t",
        "%09",
        "@",
        "%40",
        "é",
        "%c3%a9",
        "%25%32%65",
        "%u002e",
    ]);
    prop_oneof![
        6 => known.prop_map(str::to_owned),
        1 => any::<u8>().prop_map(|b| format!("%{b:02x}")),
        1 => any::<u8>().prop_map(|b| format!("%{b:02X}")),
        1 => any::<char>().prop_map(String::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reader_lands_under_a_denied_prefix(pieces in prop::collection::vec(piece(), 0..10)) {
        let path = format!("/{}", pieces.concat());
        prop_assert_eq!(check(&path), Ok(()));
    }

    #[test]
    fn canonical_paths_are_stable(pieces in prop::collection::vec(piece(), 0..10)) {
        let path = format!("/{}", pieces.concat());
        if let Ok(canonical) = canonical_path(&path) {
            let again = canonical_path(&canonical).map(std::borrow::Cow::into_owned);
            prop_assert_eq!(again, Ok(canonical.into_owned()));
        }
    }
}

/// The oracle itself must be able to object.
#[test]
fn the_readers_are_as_wrong_as_they_should_be() {
    let hit =
        |path: &str| READERS.iter().filter(|(_, reader)| is_denied(&reader(path))).map(|(n, _)| *n).collect::<Vec<_>>();
    assert!(hit("/x/../admin").len() == 5);
    assert!(hit("/x/%2e%2e/admin").len() == 5);
    assert_eq!(hit("/x\\..\\admin"), ["whatwg", "decode twice"]);
    assert_eq!(hit("/%2561dmin"), ["decode twice"]);
    assert_eq!(hit("/admin;x=y"), ["strip parameters"]);
    assert!(hit("/a//../admin").contains(&"merge slashes"));
    assert!(hit("/public").is_empty());
}
