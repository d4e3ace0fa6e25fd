//! The oracles of E-01 and E-02: readers of paths and of hosts, each naive in its own way. They are written to be wrong in
//! known ways, after servers and libraries that are, and share nothing with the code under test.

/// What must not be reached: [`super::generated`] denies it, in our own spelling.
pub(super) const DENIED: &str = "/admin";

/// The hosts of what must not be reached.
pub(super) const DENIED_HOSTS: [&str; 2] = ["admin.mesh.example", "admin.default.mesh.example"];

/// Whether the path is the denied one or below it.
pub(super) fn is_denied(path: &str) -> bool {
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

/// A name, and how it resolves a path or a host.
pub(super) type Reader = (&'static str, fn(&str) -> String);

/// The readers of paths.
pub(super) const READERS: [Reader; 5] = [
    ("rfc 3986", rfc3986),
    ("whatwg", whatwg),
    ("decode twice", decode_twice),
    ("strip parameters", strip_parameters),
    ("merge slashes", merge_slashes),
];

/// Everybody's beginning: letters are one case, a port and the root's dots are nothing.
fn bare(host: &str) -> String {
    let name = host.split(':').next().unwrap_or_default();
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// What stands before the name is whoever asks (RFC 3986, section 3.2.1).
fn after_user(host: &str) -> String {
    bare(host.rsplit('@').next().unwrap_or_default())
}

/// Readers that were told of no user.
fn before_at(host: &str) -> String {
    bare(host.split('@').next().unwrap_or_default())
}

fn decoded(host: &str) -> String {
    after_user(&decode(host))
}

/// A string ends where C or a URL says so.
fn cut(host: &str) -> String {
    let host = decode(host.trim());
    bare(host.split(['\0', ' ', '\t', '/', '\\', '?', '#', ',', ';', '\r', '\n']).next().unwrap_or_default())
}

/// Of a list the last counts.
fn last_of(host: &str) -> String {
    bare(host.rsplit([',', ' ', ';']).next().unwrap_or_default())
}

/// UTS #46: wide letters are letters, other full stops are dots, invisible characters are none.
fn idna(host: &str) -> String {
    let wide = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(c as u32 - 0xfee0),
        '\u{3002}' | '\u{ff61}' => Some('.'),
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' => None,
        other => Some(other),
    };
    bare(&host.chars().filter_map(wide).collect::<String>())
}

/// The readers of hosts.
pub(super) const HOST_READERS: [Reader; 7] = [
    ("plain", bare),
    ("after the user", after_user),
    ("before the at", before_at),
    ("decoded", decoded),
    ("cut", cut),
    ("last of a list", last_of),
    ("idna", idna),
];

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

#[test]
fn the_readers_of_hosts_are_as_wrong_as_they_should_be() {
    let hit = |host: &str| {
        let readers = HOST_READERS.iter().filter(|(_, reader)| DENIED_HOSTS.contains(&reader(host).as_str()));
        readers.map(|(name, _)| *name).collect::<Vec<_>>()
    };
    assert_eq!(hit("ADMIN.mesh.example.:80").len(), 7);
    assert_eq!(hit("public.mesh.example@admin.mesh.example"), ["after the user", "decoded"]);
    assert_eq!(hit("admin.mesh.example@public.mesh.example"), ["before the at"]);
    assert_eq!(hit("%61dmin.mesh.example"), ["decoded", "cut"]);
    assert_eq!(hit("admin.mesh.example\0.public.mesh.example"), ["cut"]);
    assert_eq!(hit("public.mesh.example,admin.mesh.example"), ["last of a list"]);
    assert_eq!(hit("ａdmin。mesh.example"), ["idna"]);
    assert!(hit("public.mesh.example").is_empty());
}
