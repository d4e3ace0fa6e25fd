//! YAML text as a tree whose every value knows its place, and the bounds of that reading.
//!
//! Separate from the readers because this is the only file that knows the YAML library.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Options, Spanned};

/// Nesting of a manifest. The language needs 8, filters nest as deep as they like up to this; the reader recurses.
const DEPTH: usize = 32;

/// Values in one document. A policy that lists 10,000 principals passes, a document made to fill memory does not.
const NODES: usize = 50_000;

/// Values that aliases may add to one document: enough to share a block between resources, far below an alias bomb.
const ALIASED_NODES: usize = 10_000;

/// A place in a document, and how many characters of it are meant. Lines and columns are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) width: usize,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(super) value: Value,
    pub(super) at: Mark,
}

/// A value as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; keys may repeat, so that every repetition can be reported.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(super) key: String,
    pub(super) key_at: Mark,
    pub(super) node: Node,
}

/// Text that is not YAML, or exceeds a bound.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(super) at: Mark,
    pub(super) message: String,
}

/// Cuts a file into documents and the line, counted from 1, on which each begins.
///
/// Done before parsing, so that one broken document does not hide the mistakes of the next. It is exact: YAML 1.2
/// (section 9.1.2, `c-forbidden`) lets no document contain a line that begins with `---` or `...` and a blank. Pieces
/// that hold only comments and directives are left out.
pub(crate) fn documents(text: &str) -> Vec<(u32, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut cuts = Vec::new();
    let (mut begin, mut first_line) = (0, 1);
    let (mut at, mut line) = (0, 1);
    for content in text.split_inclusive('\n') {
        if is_marker(content, "---") {
            cuts.push((first_line, &text[begin..at]));
            (begin, first_line) = (at, line);
        }
        at += content.len();
        line += 1;
        if is_marker(content, "...") {
            cuts.push((first_line, &text[begin..at]));
            (begin, first_line) = (at, line);
        }
    }
    cuts.push((first_line, &text[begin..]));
    cuts.retain(|(_, piece)| piece.lines().any(has_content));
    cuts
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Whether a line holds more than a comment, a directive or a bare marker.
fn has_content(line: &str) -> bool {
    let line = line.trim();
    !(line.is_empty() || line.starts_with(['#', '%']) || line == "..." || line == "---")
}

/// Reads one document. Places are relative to its first line.
///
/// Booleans are `true` and `false` only (YAML 1.2), numbers have no underscores and no leading zeros, unknown tags are
/// refused.
pub(crate) fn read(document: &str) -> Result<Node, SyntaxError> {
    serde_saphyr::from_str_with_options(document, options()).map_err(|error| {
        let at = error.location().map(|location| mark(&location)).unwrap_or_default();
        SyntaxError { at: Mark { width: 1, ..at }, message: plain_message(&error) }
    })
}

/// The tree of a JSON value, all of it at one place.
pub(crate) fn from_json(json: &serde_json::Value, at: Mark) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_i128(), number.as_f64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, float) => Value::Float(float.unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(|item| from_json(item, at)).collect()),
        serde_json::Value::Object(fields) => {
            let entry = |(key, value): (&String, _)| Entry { key: key.clone(), key_at: at, node: from_json(value, at) };
            Value::Map(fields.iter().map(entry).collect())
        }
    };
    Node { value, at }
}

/// The JSON value of a tree; `None` if JSON has no form for it: an infinite number, or a key given twice.
pub(crate) fn to_json(node: &Node) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Integer(value) => serde_json::Number::from_i128(*value)?.into(),
        Value::Float(value) => serde_json::Number::from_f64(*value)?.into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => serde_json::Value::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(entries) => {
            let mut fields = serde_json::Map::new();
            for entry in entries {
                if fields.insert(entry.key.clone(), to_json(&entry.node)?).is_some() {
                    return None;
                }
            }
            serde_json::Value::Object(fields)
        }
    })
}

fn options() -> Options {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH,
        flow_nesting_limit: DEPTH,
        max_nodes: NODES,
        max_events: 4 * NODES,
    };
    serde_saphyr::options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: ALIASED_NODES },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

/// The library's words on one line, without the place, which the problem carries itself.
fn plain_message(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let message = first.split(" at line ").next().unwrap_or(first);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    format!("cannot read this as YAML: {}", message.trim_end_matches([',', '.', ':']))
}

fn mark(location: &serde_saphyr::Location) -> Mark {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Mark {
        line: small(location.line()),
        column: small(location.column()),
        width: usize::try_from(location.span().len()).unwrap_or(1),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        let mut at = mark(&referenced);
        if matches!(value, Value::List(_) | Value::Map(_)) {
            at.width = 1;
        }
        Ok(Self { value, at })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = items.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = items.next_key::<Spanned<String>>()? {
            let node = items.next_value()?;
            entries.push(Entry { key: key.value, key_at: mark(&key.referenced), node });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests;
