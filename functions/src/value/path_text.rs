//! Whether a path in a manifest is spelled as requests' paths are once the router has brought them to their one spelling.
//! A path in another spelling would be compared with what never comes: a rule about it would match nothing.

/// Why no canonical path has this part, and what to write instead; `None` if one may. `part` is a whole path, or a
/// beginning or an end of one.
pub(crate) fn misspelled(part: &str) -> Option<String> {
    if part.contains(['?', '#']) {
        return Some("queries and fragments are not part of the path".to_owned());
    }
    let segments: Vec<&str> = part.split('/').collect();
    let inner = segments.get(1..segments.len().saturating_sub(1)).unwrap_or_default();
    if inner.iter().any(|segment| segment.is_empty()) {
        return Some("it has an empty segment, which is refused in requests".to_owned());
    }
    if inner.iter().chain(whole_end(part, &segments)).any(|segment| is_dots(segment)) {
        return Some("it has a dot segment, which is refused in requests".to_owned());
    }
    let mut rest = part.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => match encoded(after) {
                Ok(after) => after,
                Err(why) => return Some(why),
            },
            byte if is_literal(byte) => after,
            b';' | b'\\' => return Some("it has a semicolon or a backslash, which is refused in requests".to_owned()),
            _ => return Some("it has a character that must be percent-encoded".to_owned()),
        };
    }
    None
}

/// The last segment, if the part begins where a path does, so that all of its segments are whole.
fn whole_end<'a>(part: &str, segments: &'a [&'a str]) -> Option<&'a &'a str> {
    part.starts_with('/').then(|| segments.last()).flatten()
}

fn is_dots(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte == b'.')
}

/// What follows the two digits after a `%`.
fn encoded(after: &[u8]) -> Result<&[u8], String> {
    let (Some(digits), Some(rest)) = (after.get(..2), after.get(2..)) else {
        return Err("it has a `%` without two hex digits".to_owned());
    };
    // `from_str_radix` would take a sign.
    let digits_only = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_hexdigit));
    let octet = digits_only.and_then(|digits| u8::from_str_radix(digits, 16).ok());
    match octet {
        None => Err("it has a `%` without two hex digits".to_owned()),
        Some(b'/' | b'\\' | b'.' | b';' | 0..=0x1f | 0x7f) => {
            Err("it has an encoded separator, dot or control character, which is refused in requests".to_owned())
        }
        Some(octet) if is_literal(octet) => {
            let (octet, digits) = (char::from(octet), String::from_utf8_lossy(digits));
            Err(format!("write `{octet}` for `%{digits}`, as requests' paths are spelled"))
        }
        Some(_) if digits.iter().any(u8::is_ascii_lowercase) => {
            let digits = String::from_utf8_lossy(digits);
            Err(format!("write `%{}` for `%{digits}`, as requests' paths are spelled", digits.to_uppercase()))
        }
        Some(_) => Ok(rest),
    }
}

/// The characters that stand for themselves in a path (RFC 3986 `pchar` without `;`), and the separator.
const fn is_literal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'/'
                | b':'
                | b'@'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let check = |part: &str, expect: Option<&str>| {
            let why = misspelled(part);
            match (&why, expect) {
                (Some(why), Some(expect)) => assert!(why.contains(expect), "{part}: {why}"),
                _ => assert_eq!(why.as_deref(), expect, "{part}"),
            }
        };
        for part in
            ["", "/", "/a/", "/a/b.c/~d", "/a:b@c!$&'()*+,=", "/%20%C3%A4", "/.well-known/x", "/a..b", ".html", "/..a"]
        {
            check(part, None);
        }
        check("/a?b", Some("queries"));
        check("/a#b", Some("queries"));
        check("/a//b", Some("empty segment"));
        check("/a/../b", Some("dot segment"));
        check("/a/.", Some("dot segment"));
        check("/a/...", Some("dot segment"));
        check("/%7e", Some("write `~` for `%7e`"));
        check("/%40", Some("write `@` for `%40`"));
        check("/%c3%A4", Some("write `%C3` for `%c3`"));
        check("/%2F", Some("encoded separator"));
        check("/%2e%2e", Some("encoded separator"));
        check("/%00", Some("encoded separator"));
        check("/%", Some("without two hex digits"));
        check("/%zz", Some("without two hex digits"));
        check("/%+1", Some("without two hex digits"));
        check("/a;b", Some("semicolon"));
        check("/a\\b", Some("semicolon"));
        check("/a b", Some("percent-encoded"));
        check("/ä", Some("percent-encoded"));
    }
}
