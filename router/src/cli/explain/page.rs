//! How an explanation is set on a page of 80 columns: a head line, names with values, and paragraphs under a name.
//! Separate so that the three explanations look alike.

use owo_colors::OwoColorize;
use serde_json::Value;

use crate::cli::terminal::harmless;

/// Columns of a page where nothing else is known, and at most.
pub(super) const WIDTH: usize = 80;

/// What stands before each line.
const MARGIN: usize = 2;

/// Where values begin: the longest name is `in_flight`, `instance`, `triggers`.
const NAMES: usize = 11;

/// A page that is being written.
pub(super) struct Page {
    text: String,
    width: usize,
    colour: bool,
}

impl Page {
    pub(super) fn new(width: usize, colour: bool) -> Self {
        Self { text: String::new(), width: width.max(40), colour }
    }

    /// The page without its last line end.
    pub(super) fn finish(self) -> String {
        self.text.trim_end().to_owned()
    }

    /// The line that says it all: a verdict in its colour, and what it is about.
    pub(super) fn head(&mut self, verdict: &str, code: &str, about: &str) {
        let code = if code == "OK" { String::new() } else { format!(" ({})", harmless(code)) };
        let verdict = self.verdict(verdict);
        self.text.push_str(&format!("{verdict}{code}: {}\n\n", harmless(about)));
    }

    /// A title of what follows.
    pub(super) fn title(&mut self, title: &str) {
        let title = harmless(title);
        let title = if self.colour { title.bold().to_string() } else { title };
        self.text.push_str(&format!("\n{title}\n"));
    }

    /// A name and its value, which goes on under itself.
    pub(super) fn row(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let label = format!("{name:<NAMES$}");
        let label = if self.colour { label.dimmed().to_string() } else { label };
        let indent = MARGIN + NAMES;
        let lines = wrap(&harmless(value), self.width.saturating_sub(indent));
        for (index, line) in lines.iter().enumerate() {
            match index {
                0 => self.text.push_str(&format!("{:MARGIN$}{label}{line}\n", "")),
                _ => self.text.push_str(&format!("{:indent$}{line}\n", "")),
            }
        }
    }

    /// A paragraph, so far in.
    pub(super) fn paragraph(&mut self, indent: usize, text: &str) {
        for line in wrap(&harmless(text), self.width.saturating_sub(indent)) {
            self.text.push_str(&format!("{:indent$}{line}\n", ""));
        }
    }

    /// A line as it is; whoever makes it has made it harmless.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A word for a verdict, in its colour.
    pub(super) fn verdict(&self, verdict: &str) -> String {
        let word = harmless(verdict);
        match (self.colour, verdict) {
            (false, _) => word,
            (true, "allow" | "deliver" | "delivered" | "yes") => word.green().bold().to_string(),
            (true, "deny" | "denied" | "dead" | "no_route") => word.red().bold().to_string(),
            (true, _) => word.yellow().bold().to_string(),
        }
    }
}

/// Breaks text at blanks so that no line is longer than `width`, but for words that are.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A list at a JSON pointer.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Milliseconds as a person says them: `350 ms`, `4.2 s`, `3 m`, `2 h`, `5 d`.
pub(super) fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{} s", ms / 1_000),
        60_000..3_600_000 => format!("{} m", ms / 60_000),
        3_600_000..86_400_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_broken_at_blanks() {
        let check = |text: &str, width: usize, expect: &[&str]| assert_eq!(wrap(text, width), expect, "{text}");
        check("", 10, &[""]);
        check("one two three", 7, &["one two", "three"]);
        check(
            "spiffe://weft.local/ns/default/sa/dev is not listed",
            10,
            &["spiffe://weft.local/ns/default/sa/dev", "is not", "listed"],
        );
    }

    #[test]
    fn times_are_said_shortly() {
        let check = |ms: u64, expect: &str| assert_eq!(duration(ms), expect);
        check(0, "0 ms");
        check(999, "999 ms");
        check(4_250, "4.2 s");
        check(59_999, "59 s");
        check(180_000, "3 m");
        check(7_200_000, "2 h");
        check(u64::MAX, "213503982334 d");
    }
}
