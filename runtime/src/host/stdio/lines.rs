//! Bytes to lines, and lines to text that cannot forge a log: pure.

use std::fmt::Write as _;

use crate::limits::LOG_LINE_BYTES;

/// Collects bytes until a line is whole.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes bytes and gives out each line that is whole, without its end. A line that grows beyond
    /// [`LOG_LINE_BYTES`] is given out in pieces of that size.
    pub(super) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        let mut parts = bytes.split(|&byte| byte == b'\n');
        let last = parts.next_back().unwrap_or_default();
        for part in parts {
            self.add(part, &mut line);
            line(self.rest.strip_suffix(b"\r").unwrap_or(&self.rest));
            self.rest.clear();
        }
        self.add(last, &mut line);
    }

    /// Gives out what is left of a line that never ended.
    pub(super) fn end(&mut self, mut line: impl FnMut(&[u8])) {
        if !self.rest.is_empty() {
            line(&self.rest);
            self.rest.clear();
        }
    }

    fn add(&mut self, mut part: &[u8], line: &mut impl FnMut(&[u8])) {
        while self.rest.len() + part.len() > LOG_LINE_BYTES {
            let (fits, more) = part.split_at(LOG_LINE_BYTES - self.rest.len());
            self.rest.extend_from_slice(fits);
            line(&self.rest);
            self.rest.clear();
            part = more;
        }
        self.rest.extend_from_slice(part);
    }
}

/// Text in which nothing acts on a terminal or looks like another line: control characters, line and paragraph
/// separators and marks that change the direction of text are written as `\u{…}`; bytes that are no UTF-8 as `�`.
pub(super) fn escape(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' => safe.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                let _ = write!(safe, "{}", c.escape_unicode());
            }
            c if c.is_control() => {
                let _ = write!(safe, "{}", c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(writes: &[&[u8]], expect: &[&str]) {
        let mut lines = Lines::default();
        let mut got = Vec::new();
        for write in writes {
            lines.push(write, |line| got.push(escape(line)));
        }
        lines.end(|line| got.push(escape(line)));
        assert_eq!(got, expect);
    }

    #[test]
    fn writes_become_lines() {
        check(&[b"a\nb\n"], &["a", "b"]);
        check(&[b"a", b"b\n", b"c"], &["ab", "c"]);
        check(&[b"a\r\n\nb"], &["a", "", "b"]);
        check(&[b""], &[]);
    }

    #[test]
    fn a_line_cannot_act_on_a_terminal_or_forge_another() {
        check(&[b"\x1b[2J\x07\x00\n"], &["\\u{1b}[2J\\u{7}\\u{0}"]);
        check(&["a\rb\u{85}\u{2028}\u{202e}é\n".as_bytes()], &["a\\rb\\u{85}\\u{2028}\\u{202e}é"]);
        check(&[b"\xff\xfe\n"], &["\u{fffd}\u{fffd}"]);
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let long = vec![b'x'; LOG_LINE_BYTES * 2 + 5];
        let mut lines = Lines::default();
        let mut sizes = Vec::new();
        for chunk in long.chunks(1000) {
            lines.push(chunk, |line| sizes.push(line.len()));
        }
        lines.push(b"\n", |line| sizes.push(line.len()));
        assert_eq!(sizes, [LOG_LINE_BYTES, LOG_LINE_BYTES, 5]);
    }
}
