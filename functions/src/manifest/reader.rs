//! Typed reading of a tree: every reader takes what it can, notes what is wrong, and goes on.
//!
//! A [`Section`] is a mapping whose keys were checked when it was opened, a [`Field`] is one value with its path. A reader
//! that noted a mistake gives the default, which nobody sees: a reading with mistakes has no result.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::findings::Findings;
use super::problem::{Code, Place};
use super::suggest;
use super::tree::{self, Entry, Mark, Node, Value};
use super::within;
use crate::value::{Duration, Name, Namespaced, Size};

/// One value, with the path of keys that leads to it.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    node: &'a Node,
    path: String,
}

/// A mapping, its keys checked.
#[derive(Debug, Clone)]
pub struct Section<'a> {
    entries: &'a [Entry],
    at: Mark,
    path: String,
    /// Whether the mapping stands in for one that is absent or wrong, in which case nothing in it is missed.
    absent: bool,
}

impl<'a> Field<'a> {
    /// The whole document.
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    pub(crate) fn at(&self) -> Mark {
        self.node.at
    }

    /// The path of keys, such as `spec.scale.max`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where this value stands.
    pub(crate) fn place(&self, out: &Findings<'_>) -> Place {
        let at = self.node.at;
        Place { path: self.path.clone(), location: out.location(at), snippet: out.snippet(at) }
    }

    /// Notes a mistake at this value.
    pub fn report(&self, code: Code, message: impl Into<String>, out: &mut Findings<'_>) {
        out.report(self.node.at, &self.path, code, message);
    }

    /// Notes a mistake inside a text, so many bytes after its beginning.
    pub(crate) fn report_within(&self, bytes: usize, code: Code, message: String, out: &mut Findings<'_>) {
        let Value::Text(text) = &self.node.value else { return self.report(code, message, out) };
        let before = text.get(..bytes).unwrap_or(text);
        let at = within::mark(self.node.at, before, out.lines_from(self.node.at));
        // The number helps where no caret can: a folded text, or JSON.
        let message = format!("`{}`, character {}: {message}", self.path, before.chars().count() + 1);
        out.report(at, &self.path, code, message);
    }

    fn wrong_type(&self, expected: &str, out: &mut Findings<'_>) {
        let found = describe(&self.node.value);
        self.report(Code::WrongType, format!("`{}` must be {expected}, found {found}", self.name()), out);
    }

    /// How the value is called in messages.
    fn name(&self) -> &str {
        if self.path.is_empty() { "the document" } else { &self.path }
    }

    /// The mapping, if its keys are all `known`. Of a key that is given twice the first counts.
    pub fn section(&self, known: &[&str], out: &mut Findings<'_>) -> Section<'a> {
        self.section_of(known, &[], out)
    }

    /// As [`Self::section`]; keys in `later` belong to the language and not to this version.
    pub fn section_of(&self, known: &[&str], later: &[&str], out: &mut Findings<'_>) -> Section<'a> {
        let section = self.open(out);
        let mut seen = BTreeMap::new();
        for entry in section.entries {
            let path = section.path_of(&entry.key);
            let shown = entry.key.escape_debug();
            if let Some(first) = seen.get(entry.key.as_str()) {
                let line = out.location(*first).line;
                let message = format!("`{shown}` is given twice, first on line {line}");
                out.report(entry.key_at, &path, Code::DuplicateKey, message);
            } else if later.contains(&entry.key.as_str()) {
                let message = format!("`{shown}` is not supported in this version; {}", expected_keys(known));
                out.report(entry.key_at, &path, Code::Unsupported, message);
            } else if !known.contains(&entry.key.as_str()) {
                let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
                let hint = match suggest::nearest(&entry.key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => expected_keys(known),
                };
                out.report(entry.key_at, &path, Code::UnknownKey, format!("unknown key `{shown}`{place}: {hint}"));
            }
            seen.entry(entry.key.as_str()).or_insert(entry.key_at);
        }
        section
    }

    /// The mapping with keys that a person chooses; each is given once.
    pub(crate) fn open_section(&self, out: &mut Findings<'_>) -> Vec<(&'a str, Mark, Self)> {
        let section = self.open(out);
        let mut fields: Vec<(&str, Mark, Self)> = Vec::new();
        let mut seen = BTreeSet::new();
        for entry in section.entries {
            let path = section.path_of(&entry.key);
            if seen.insert(entry.key.as_str()) {
                fields.push((entry.key.as_str(), entry.key_at, Field { node: &entry.node, path }));
            } else {
                let message = format!("`{}` is given twice", entry.key.escape_debug());
                out.report(entry.key_at, &path, Code::DuplicateKey, message);
            }
        }
        fields
    }

    fn open(&self, out: &mut Findings<'_>) -> Section<'a> {
        let (entries, absent): (&[Entry], bool) = match &self.node.value {
            Value::Map(entries) => (entries, false),
            _ => {
                self.wrong_type("a mapping", out);
                (&[], true)
            }
        };
        Section { entries, at: self.node.at, path: self.path.clone(), absent }
    }

    /// The elements of a list.
    pub fn list(&self, out: &mut Findings<'_>) -> Vec<Self> {
        let Value::List(items) = &self.node.value else {
            self.wrong_type("a list", out);
            return Vec::new();
        };
        items.iter().enumerate().map(|(i, node)| Field { node, path: format!("{}[{i}]", self.path) }).collect()
    }

    /// The elements of a list that has between one and `most` of them.
    pub fn some(&self, most: usize, out: &mut Findings<'_>) -> Vec<Self> {
        let items = self.at_most(most, out);
        if matches!(&self.node.value, Value::List(list) if list.is_empty()) {
            let message = format!("`{}` must not be empty: leave it out or name at least one", self.path);
            self.report(Code::BadValue, message, out);
        }
        items
    }

    /// The elements of a list that has at most `most` of them.
    pub(crate) fn at_most(&self, most: usize, out: &mut Findings<'_>) -> Vec<Self> {
        let items = self.list(out);
        if items.len() > most {
            let message = format!("`{}` may have at most {most} entries, found {}", self.path, items.len());
            self.report(Code::BadValue, message, out);
        }
        items
    }

    /// The value as text.
    pub fn text(&self, out: &mut Findings<'_>) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => return Some(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => self.wrong_type("text: quote it", out),
            _ => self.wrong_type("text", out),
        }
        None
    }

    /// Whether the value is exactly this text.
    pub fn is_text(&self, expected: &str) -> bool {
        matches!(&self.node.value, Value::Text(text) if text == expected)
    }

    /// Whether the value is a mapping.
    pub fn is_mapping(&self) -> bool {
        matches!(&self.node.value, Value::Map(_))
    }

    /// The value as JSON, whatever it is.
    pub(crate) fn json(&self, out: &mut Findings<'_>) -> Option<serde_json::Value> {
        let json = tree::to_json(self.node);
        if json.is_none() {
            let message = format!("`{}` has no form in JSON: a key is given twice, or a number is infinite", self.path);
            self.report(Code::BadValue, message, out);
        }
        json
    }

    /// A text that a type reads itself.
    pub fn parsed<T: FromStr<Err: Display>>(&self, code: Code, out: &mut Findings<'_>) -> Option<T> {
        let read = self.text(out)?.parse();
        read.map_err(|error| self.report(code, format!("`{}`: {error}", self.path), out)).ok()
    }

    pub(crate) fn name_in(&self, out: &mut Findings<'_>) -> Option<Name> {
        self.parsed(Code::BadName, out)
    }

    /// `name` in the namespace `home`, or `ns/name`.
    pub(crate) fn namespaced(&self, home: &Name, out: &mut Findings<'_>) -> Option<Namespaced> {
        let read = Namespaced::parse_in(home, self.text(out)?);
        read.map_err(|error| self.report(Code::BadName, format!("`{}`: {error}", self.path), out)).ok()
    }

    /// `true` or `false`.
    pub fn boolean(&self, out: &mut Findings<'_>) -> Option<bool> {
        if let Value::Bool(value) = self.node.value {
            return Some(value);
        }
        self.wrong_type("true or false", out);
        None
    }

    fn number(&self, range: &RangeInclusive<u32>, out: &mut Findings<'_>) -> Option<u32> {
        let Value::Integer(value) = self.node.value else {
            self.wrong_type(&format!("a whole number from {} to {}", range.start(), range.end()), out);
            return None;
        };
        let value = u32::try_from(value).ok().filter(|value| range.contains(value));
        if value.is_none() {
            self.out_of_range(range, out);
        }
        value
    }

    fn duration(&self, range: &RangeInclusive<Duration>, out: &mut Findings<'_>) -> Option<Duration> {
        if !matches!(self.node.value, Value::Text(_)) {
            self.wrong_type("a duration with its unit, such as 30s or PT30S", out);
            return None;
        }
        let value = self.parsed(Code::BadValue, out)?;
        if !range.contains(&value) {
            self.out_of_range(range, out);
            return None;
        }
        Some(value)
    }

    fn size(&self, range: &RangeInclusive<Size>, out: &mut Findings<'_>) -> Option<Size> {
        let value = match &self.node.value {
            Value::Integer(bytes) => u64::try_from(*bytes).map(Size::from_bytes).ok(),
            Value::Text(_) => Some(self.parsed(Code::BadValue, out)?),
            _ => {
                self.wrong_type("a size such as 64Mi", out);
                return None;
            }
        };
        let value = value.filter(|value| range.contains(value));
        if value.is_none() {
            self.out_of_range(range, out);
        }
        value
    }

    fn out_of_range<T: Display>(&self, range: &RangeInclusive<T>, out: &mut Findings<'_>) {
        let message = format!("`{}` must be from {} to {}", self.path, range.start(), range.end());
        self.report(Code::BadValue, message, out);
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&self, choices: &[(&str, T)], out: &mut Findings<'_>) -> Option<T> {
        let text = self.text(out)?;
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let words = alternatives(choices.iter().map(|(word, _)| *word));
            let message = format!("`{}` must be {words}, found `{}`", self.path, text.escape_debug());
            self.report(Code::BadValue, message, out);
        }
        found
    }
}

impl<'a> Section<'a> {
    /// A mapping without keys in which nothing is missed: every reading gives the default.
    fn absent(path: String) -> Self {
        Self { entries: &[], at: Mark::default(), path, absent: true }
    }

    fn path_of(&self, key: &str) -> String {
        let key = if key.contains(['.', '[', ' ']) { format!("{key:?}") } else { key.to_owned() };
        if self.path.is_empty() { key } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key; a key without a value (`env:`) counts as left out.
    pub fn get(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        (entry.node.value != Value::Null).then(|| Field { node: &entry.node, path: self.path_of(key) })
    }

    /// Whether the key is there and holds nothing: `null`, or no value at all.
    pub fn is_null(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key && entry.node.value == Value::Null)
    }

    /// The value of a key, be it nothing (`key:`), for where that is a mistake.
    pub(crate) fn given(&self, key: &str) -> Option<Field<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(Field { node: &entry.node, path: self.path_of(key) })
    }

    /// The value of a key that must be there.
    pub fn require(&self, key: &str, out: &mut Findings<'_>) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() && !self.absent {
            self.report_missing(key, out);
        }
        field
    }

    fn report_missing(&self, key: &str, out: &mut Findings<'_>) {
        let place = if self.path.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
        out.report(self.at, &self.path_of(key), Code::MissingKey, format!("`{key}` is missing{place}"));
    }

    /// Notes a mistake that concerns the whole mapping.
    pub fn report(&self, code: Code, message: impl Into<String>, out: &mut Findings<'_>) {
        out.report(self.at, &self.path, code, message);
    }

    /// Whether the mapping was not there or not a mapping.
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    /// Whether the mapping has no keys.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A mapping below a key; an absent one reads as all defaults.
    pub fn section(&self, key: &str, known: &[&str], out: &mut Findings<'_>) -> Section<'a> {
        match self.get(key) {
            Some(field) => field.section(known, out),
            None => Section::absent(self.path_of(key)),
        }
    }

    /// A whole number, the default when left out.
    pub fn number(&self, key: &str, default: u32, range: RangeInclusive<u32>, out: &mut Findings<'_>) -> u32 {
        self.get(key).and_then(|field| field.number(&range, out)).unwrap_or(default)
    }

    /// A duration, the default when left out.
    pub fn duration(
        &self,
        key: &str,
        default: Duration,
        range: RangeInclusive<Duration>,
        out: &mut Findings<'_>,
    ) -> Duration {
        self.optional_duration(key, range, out).unwrap_or(default)
    }

    pub(crate) fn optional_duration(
        &self,
        key: &str,
        range: RangeInclusive<Duration>,
        out: &mut Findings<'_>,
    ) -> Option<Duration> {
        self.get(key).and_then(|field| field.duration(&range, out))
    }

    /// A size, the default when left out.
    pub fn size(&self, key: &str, default: Size, range: RangeInclusive<Size>, out: &mut Findings<'_>) -> Size {
        self.get(key).and_then(|field| field.size(&range, out)).unwrap_or(default)
    }

    /// One of a few words, the default when left out.
    pub fn choice<T: Copy + Default>(&self, key: &str, choices: &[(&str, T)], out: &mut Findings<'_>) -> T {
        self.get(key).and_then(|field| field.choice(choices, out)).unwrap_or_default()
    }
}

fn expected_keys(known: &[&str]) -> String {
    match known {
        [only] => format!("expected `{only}`"),
        _ => format!("expected one of {}", known.join(", ")),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn alternatives<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<&str> = words.collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// What a value is, in words for a message.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Integer(value) => format!("the number {value}"),
        Value::Float(value) => format!("the number {value}"),
        Value::Text(_) => "text".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}
