//! Decides how a path is spelled. Separate because manifests' routes and policies must be brought into the same spelling
//! before they are compared with a request's.
//!
//! Refused: what two readers could resolve differently. That is dot segments, empty segments, `\` and `;`, encoded
//! `/ \ . ; NUL` and controls, anything not UTF-8 once decoded, `%` before hex digits once decoded (double encoding), and
//! characters that RFC 3986 does not let stand in a path (clients differ in which of them they encode).
//!
//! Normalised, once: the two differences that everyday clients produce and no reader tells apart. Hex digits become upper
//! case, and an octet that may stand in a segment is written as itself (`%7E` is `~`, `%40` is `@`; JavaScript's
//! encodeURIComponent writes the latter). RFC 3986 section 6.2.2 names both equivalent for unreserved characters; for
//! sub-delims, `:` and `@` weft gives them no meaning in a path, so both spellings must be one, or a rule about one would
//! be passed by the other. Refusing these would refuse honest clients and protect nobody.

use std::borrow::Cow;

use crate::path::ambiguous::Ambiguous;

/// Brings a path to its one spelling; borrowed if it has it already.
///
/// # Errors
/// [`Ambiguous`] (400) if two readers could place the path differently.
pub fn canonical_path(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if !path.starts_with('/') {
        return Err(Ambiguous::bad("path does not start with `/`"));
    }
    let canonical = match path.bytes().find(|b| *b == b'%') {
        Some(_) => decode(path)?,
        None => {
            check_literals(path)?;
            Cow::Borrowed(path)
        }
    };
    check_segments(&canonical)?;
    Ok(canonical)
}

/// Every byte must be one that may stand for itself in a path.
fn check_literals(path: &str) -> Result<(), Ambiguous> {
    match path.bytes().find(|b| !is_literal(*b)) {
        Some(byte) => Err(refuse_literal(byte)),
        None => Ok(()),
    }
}

fn refuse_literal(byte: u8) -> Ambiguous {
    Ambiguous::bad(match byte {
        b'\\' => "path contains a backslash",
        b';' => "path contains a semicolon",
        b'#' => "path contains a fragment",
        0..=0x1f | 0x7f => "path contains a control character",
        _ => "path has a character that must be percent-encoded",
    })
}

/// RFC 3986 `pchar` without `;` (path parameters, which readers strip or keep), and the separator.
const fn is_literal(byte: u8) -> bool {
    matches!(byte, b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=')
        || is_unreserved(byte)
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Rewrites the percent-encodings of a path. Allocates only if something changes.
fn decode(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    let bytes = path.as_bytes();
    let mut spelled = Vec::with_capacity(bytes.len());
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            if !is_literal(byte) {
                return Err(refuse_literal(byte));
            }
            spelled.push(byte);
            decoded.push(byte);
            continue;
        }
        let octet = match after {
            [high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        }
        .ok_or(Ambiguous::bad("path has a `%` without two hex digits"))?;
        rest = after.get(2..).unwrap_or_default();
        decoded.push(octet);
        spell_octet(octet, &mut spelled)?;
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err(Ambiguous::bad("path is not utf-8 once decoded"));
    }
    check_double_encoding(&spelled)?;
    if spelled == bytes {
        return Ok(Cow::Borrowed(path));
    }
    String::from_utf8(spelled).map(Cow::Owned).map_err(|_| Ambiguous::bad("path is not utf-8 once decoded"))
}

fn spell_octet(octet: u8, spelled: &mut Vec<u8>) -> Result<(), Ambiguous> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    match octet {
        b'/' => Err(Ambiguous::bad("path contains an encoded slash")),
        b'\\' => Err(Ambiguous::bad("path contains an encoded backslash")),
        b'.' => Err(Ambiguous::bad("path contains an encoded dot")),
        b';' => Err(Ambiguous::bad("path contains an encoded semicolon")),
        0..=0x1f | 0x7f => Err(Ambiguous::bad("path contains an encoded control character")),
        literal if is_literal(literal) => {
            spelled.push(literal);
            Ok(())
        }
        other => {
            spelled.extend([b'%', HEX[usize::from(other >> 4)], HEX[usize::from(other & 15)]]);
            Ok(())
        }
    }
}

/// `%25` before two hex digits is another path to a reader that decodes twice. Looked for in the spelled text, where the
/// digits themselves cannot hide in an encoding.
fn check_double_encoding(spelled: &[u8]) -> Result<(), Ambiguous> {
    let twice = |w: &[u8]| w.starts_with(b"%25") && w[3..].iter().all(u8::is_ascii_hexdigit);
    if spelled.windows(5).any(twice) {
        return Err(Ambiguous::bad("path is percent-encoded twice"));
    }
    Ok(())
}

/// A trailing `/` is part of the path; any other empty segment is refused, and so are segments of dots alone.
fn check_segments(path: &str) -> Result<(), Ambiguous> {
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        if segment.is_empty() && segments.peek().is_some() {
            return Err(Ambiguous::bad("path contains an empty segment"));
        }
        if !segment.is_empty() && segment.bytes().all(|b| b == b'.') {
            return Err(Ambiguous::bad("path contains a dot segment"));
        }
    }
    Ok(())
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
