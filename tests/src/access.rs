//! Lines of the access log, as an operator's tools read them: what the node recorded of each call.

use std::collections::BTreeMap;

/// What begins the fields of a line: of a call that was answered, and of one that the mesh refused.
const MARKS: [&str; 2] = [" weft::access: ", " weft::refused: "];

/// One call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(BTreeMap<String, String>);

impl Line {
    /// A field's value; none if the line does not have it.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(String::as_str)
    }
}

/// The lines about calls in what a node wrote to standard error. What is still being written is left for later.
pub fn lines(log: &str) -> Vec<Line> {
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let fields = |line: &str| MARKS.iter().find_map(|mark| Some(read(line.split_once(mark)?.1)));
    whole.lines().filter_map(fields).map(Line).collect()
}

/// `name=value name="quoted value" name=value with spaces`.
fn read(mut rest: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => bare(after),
        };
        fields.insert(name.trim().to_owned(), value);
        rest = next;
    }
    fields
}

/// Up to the closing quote; `\` takes the next character as it is.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return (value, &text[place + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

/// Up to the space before the next `name=`.
fn bare(text: &str) -> (String, &str) {
    let is_name = |text: &str| {
        let end = text.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
        end.is_some_and(|end| end > 0 && text[end..].starts_with('='))
    };
    let end = text.match_indices(' ').map(|(place, _)| place).find(|place| is_name(&text[place + 1..]));
    let (value, next) = text.split_at(end.unwrap_or(text.len()));
    (value.to_owned(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written() {
        let log = "2026-01-01T00:00:00Z  INFO weft::scale: from=0 to=1\n\
                   2026-01-01T00:00:00Z  INFO weft::refused: decision=d-1 verb=\"request\" asked=function t/a b why=\"no \
                   \\\"x\\\" = y\" status=403\n2026-01-01T00:00:00Z  INFO weft::access: decision=d-2";
        let lines = lines(log);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let expect = [
            ("decision", "d-1"),
            ("verb", "request"),
            ("asked", "function t/a b"),
            ("why", "no \"x\" = y"),
            ("status", "403"),
        ];
        for (field, value) in expect {
            assert_eq!(lines[0].get(field), Some(value), "{lines:?}");
        }
        assert_eq!(lines[0].0.len(), expect.len());
    }
}
