//! Decides whether one request head (or trailer section), as raw bytes, means one thing, and where its body ends.
//! Separate and pure, because it must run before hyper: hyper drops a Content-Length that stands beside a
//! Transfer-Encoding, takes a bare LF for a line end and forgets `#fragments`, so afterwards nobody can tell.
//!
//! Stricter than RFC 9112 where the RFC leaves a choice that other readers make differently; each such choice says so.

#[cfg(test)]
mod tests;

use http::StatusCode;

use super::Ambiguous;

/// Longest request head, and longest trailer section, in bytes. Four times what browsers send with many cookies.
pub(crate) const MAX_HEAD: usize = 32 * 1024;

/// Most fields of a head: hyper's own default, checked here so that the refusal has a decision id.
pub(crate) const MAX_FIELDS: usize = 100;

/// Longest request target, in bytes (threats.md A-06). An absolute-form target adds its authority to the 8 KiB.
const MAX_TARGET: usize = crate::path::canonical::MAX_TARGET + 512;

/// Longest request line: method, target and version.
const MAX_REQUEST_LINE: usize = MAX_TARGET + crate::path::canonical::MAX_METHOD + " HTTP/1.1 \r\n".len();

/// Largest Content-Length, in bytes. Above it hyper's own arithmetic ends; nobody sends 2^53 bytes in one request.
const MAX_CONTENT_LENGTH: u64 = 1 << 53;

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// No body, or this many bytes.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
}

/// A section whose every line is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its length in bytes, the empty line included.
    pub(crate) len: usize,
    /// What follows it. `Length(0)` after trailers.
    pub(crate) body: BodyFraming,
}

/// Reads a head or trailer section line by line, as bytes come. Each byte is looked at a constant number of times.
#[derive(Debug)]
pub(crate) struct SectionReader {
    /// Start of the first line that is not checked yet.
    line: usize,
    /// End of the bytes known to hold no further line end.
    seen: usize,
    fields: usize,
    /// The request line is still to come. Never so for trailers.
    at_request_line: bool,
    http_10: bool,
    length: Option<u64>,
    chunked: bool,
}

impl SectionReader {
    pub(crate) const fn head() -> Self {
        Self { line: 0, seen: 0, fields: 0, at_request_line: true, http_10: false, length: None, chunked: false }
    }

    pub(crate) const fn trailers() -> Self {
        Self { at_request_line: false, ..Self::head() }
    }

    /// Whether no byte of the section has been seen.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Goes on with `bytes`, which start where the section starts and have grown since the last call.
    /// `None` while the section's end is not among them.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<Section>, Ambiguous> {
        while let Some(found) = bytes[self.seen..].iter().position(|b| *b == b'\n') {
            let end = self.seen + found + 1;
            let line =
                bytes[self.line..end].strip_suffix(b"\r\n").ok_or(Ambiguous::bad("line ends with a bare line feed"))?;
            (self.line, self.seen) = (end, end);
            self.check_size(end)?;
            if line.is_empty() && !self.at_request_line {
                let body =
                    if self.chunked { BodyFraming::Chunked } else { BodyFraming::Length(self.length.unwrap_or(0)) };
                return Ok(Some(Section { len: end, body }));
            }
            self.take_line(line)?;
        }
        self.seen = bytes.len();
        self.check_size(bytes.len())?;
        Ok(None)
    }

    fn check_size(&self, len: usize) -> Result<(), Ambiguous> {
        if self.at_request_line && len > MAX_REQUEST_LINE {
            return Err(Ambiguous::with(StatusCode::URI_TOO_LONG, "request line is longer than 8 KiB"));
        }
        if len > MAX_HEAD {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Ambiguous::with(status, "request head is larger than 32 KiB"));
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<(), Ambiguous> {
        if self.at_request_line {
            self.at_request_line = false;
            self.http_10 = check_request_line(line)?;
            return Ok(());
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            return Err(Ambiguous::with(status, "request has more than 100 header fields"));
        }
        let (name, value) = split_field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            self.take_content_length(value)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.take_transfer_encoding(value)?;
        }
        Ok(())
    }

    /// One value, digits only. RFC 9112 lets a list of equal values pass (`5, 5`); readers differ, so we do not.
    fn take_content_length(&mut self, value: &[u8]) -> Result<(), Ambiguous> {
        if self.chunked {
            return Err(Ambiguous::bad("content-length stands beside transfer-encoding"));
        }
        let digits = framing_value(value);
        // `parse` alone would take a sign.
        let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let length = number.and_then(|d| d.parse().ok()).filter(|n| *n <= MAX_CONTENT_LENGTH);
        let length = length.ok_or(Ambiguous::bad("content-length is not a number of bytes"))?;
        match self.length.replace(length) {
            Some(_) => Err(Ambiguous::bad("content-length is given more than once")),
            None => Ok(()),
        }
    }

    /// `chunked`, once, alone, in HTTP/1.1. Other codings exist on paper; we do not decode them, and a list is where
    /// readers disagree about the last one.
    fn take_transfer_encoding(&mut self, value: &[u8]) -> Result<(), Ambiguous> {
        if self.http_10 {
            return Err(Ambiguous::bad("transfer-encoding is not part of http/1.0"));
        }
        if self.length.is_some() {
            return Err(Ambiguous::bad("content-length stands beside transfer-encoding"));
        }
        if std::mem::replace(&mut self.chunked, true) {
            return Err(Ambiguous::bad("transfer-encoding is given more than once"));
        }
        if !framing_value(value).eq_ignore_ascii_case(b"chunked") {
            return Err(Ambiguous::bad("transfer-encoding is not `chunked`"));
        }
        Ok(())
    }
}

/// A framing header's value after the one space that every client writes. More white space, or another kind, is the
/// classic way to make two readers disagree about whether the header counts.
fn framing_value(value: &[u8]) -> &[u8] {
    value.strip_prefix(b" ").unwrap_or(value)
}

/// `METHOD SP target SP HTTP/1.x`; true for HTTP/1.0.
fn check_request_line(line: &[u8]) -> Result<bool, Ambiguous> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Ambiguous::bad("request line is not method, target and version"));
    };
    if method.is_empty() || !method.iter().all(|b| is_token(*b)) {
        return Err(Ambiguous::bad("method is not a token"));
    }
    if method.len() > crate::path::canonical::MAX_METHOD {
        return Err(Ambiguous::bad("method is longer than 32 bytes"));
    }
    if target.len() > MAX_TARGET {
        return Err(Ambiguous::with(StatusCode::URI_TOO_LONG, "target is longer than 8 KiB"));
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return Err(Ambiguous::bad("target has a byte that must be percent-encoded"));
    }
    if target.contains(&b'#') {
        return Err(Ambiguous::bad("target contains a fragment"));
    }
    match version {
        b"HTTP/1.1" => Ok(false),
        b"HTTP/1.0" => Ok(true),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
            let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            Err(Ambiguous::with(status, "version is not http/1.1 or http/1.0"))
        }
        _ => Err(Ambiguous::bad("request line has no http version")),
    }
}

/// Name and value of a field line, its bytes checked.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Ambiguous> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Ambiguous::bad("header is folded over several lines"));
    }
    let colon = line.iter().position(|b| !is_token(*b)).unwrap_or(line.len());
    let (name, rest) = line.split_at(colon);
    let value = match rest {
        [b':', value @ ..] if !name.is_empty() => value,
        [b' ' | b'\t', ..] if !name.is_empty() => {
            return Err(Ambiguous::bad("header has white space before its colon"));
        }
        _ => return Err(Ambiguous::bad("header name is not a token followed by a colon")),
    };
    // Bytes above 0x7f are opaque but have one meaning (RFC 9110 section 5.5); controls, with CR and NUL, do not.
    if value.iter().any(|b| (*b < b' ' && *b != b'\t') || *b == 0x7f) {
        return Err(Ambiguous::bad("header value contains a control character"));
    }
    Ok((name, value))
}

/// RFC 9110 section 5.6.2 `tchar`.
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}
