//! The place inside a text: from "so many characters in" back to the line and column of the file.
//!
//! The YAML library knows where a text begins and not how it was written, so the file's characters are walked along
//! beside the text's. Where they part, the beginning of the text is the best that is known.

use super::tree::Mark;

/// The place right behind `before`, which is the beginning of the text that stands at `at`. `lines` are the file's from
/// there on.
pub(super) fn mark(at: Mark, before: &str, lines: &[&str]) -> Mark {
    let indent = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
    let quote = lines.first().and_then(|line| line.chars().nth(indent)).filter(|c| ['\'', '"'].contains(c));
    let quoted = quote.and_then(|quote| along(lines.first()?, indent + 1, before, Some(quote)));
    let Some((line, column)) = quoted.map(|column| (0, column)).or_else(|| unquoted(lines, indent, before)) else {
        return at;
    };
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Mark { line: at.line.max(1).saturating_add(small(line)), column: small(column).saturating_add(1), width: 1 }
}

/// Line and characters before the place in a plain text or a block, whose lines stand below one another as they are in
/// the text.
fn unquoted(lines: &[&str], indent: usize, before: &str) -> Option<(usize, usize)> {
    let mut place = None;
    for (index, wanted) in before.split('\n').enumerate() {
        place = Some((index, along(lines.get(index)?, indent, wanted, None)?));
    }
    place
}

/// The characters of a line up to the end of what stands for `before` from `start` on; `None` when something else stands
/// there.
fn along(line: &str, start: usize, before: &str, quote: Option<char>) -> Option<usize> {
    let mut written = line.chars().skip(start);
    let mut end = start;
    for c in before.chars() {
        let escape = match quote {
            Some('\'') if c == '\'' => Some('\''),
            Some('"') if c == '"' || c == '\\' => Some('\\'),
            _ => None,
        };
        for expected in escape.into_iter().chain([c]) {
            if written.next() != Some(expected) {
                return None;
            }
            end += 1;
        }
    }
    Some(end)
}
