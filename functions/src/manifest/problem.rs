//! One mistake in a manifest: where, which sort, what was expected, and how a person sees it.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::source::{Location, SourceFile};

/// Longest piece of a line that a snippet shows. Longer lines are cut, since a generated line can be a whole file.
const SNIPPET_CHARS: usize = 160;

/// The sort of a [`Problem`]: stable words for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The text is not YAML, or exceeds a bound of the reader.
    Syntax,
    /// A key that the place does not have.
    UnknownKey,
    /// A key that appears twice.
    DuplicateKey,
    /// A key that must be there.
    MissingKey,
    /// A list where a text is expected, and the like.
    WrongType,
    /// A value of the right type that is out of bounds or not in the expected form.
    BadValue,
    /// A name that is not a DNS label, or is reserved.
    BadName,
    /// A `kind` that does not exist.
    UnknownKind,
    /// Two documents describe the same resource.
    DuplicateResource,
    /// A resource that is named and does not exist.
    UnknownReference,
    /// A module that cannot be read, or is not one that runs here.
    BadModule,
    /// More than a namespace's quota allows.
    QuotaExceeded,
    /// Part of the language, and not of this version.
    Unsupported,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 13] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::DuplicateKey,
        Self::MissingKey,
        Self::WrongType,
        Self::BadValue,
        Self::BadName,
        Self::UnknownKind,
        Self::DuplicateResource,
        Self::UnknownReference,
        Self::BadModule,
        Self::QuotaExceeded,
        Self::Unsupported,
    ];

    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown_key",
            Self::DuplicateKey => "duplicate_key",
            Self::MissingKey => "missing_key",
            Self::WrongType => "wrong_type",
            Self::BadValue => "bad_value",
            Self::BadName => "bad_name",
            Self::UnknownKind => "unknown_kind",
            Self::DuplicateResource => "duplicate_resource",
            Self::UnknownReference => "unknown_reference",
            Self::BadModule => "bad_module",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let found = Self::ALL.into_iter().find(|code| code.as_str() == word);
        found.ok_or_else(|| serde::de::Error::custom(format!("unknown problem code `{word}`")))
    }
}

/// One mistake in a manifest. As JSON: `{file, line, column, path, code, message}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub location: Location,
    /// Which key: `spec.scale.min`; empty for the whole document.
    pub path: String,
    /// Which sort.
    pub code: Code,
    /// What is wrong and what was expected, in one line.
    pub message: String,
    /// The text that the caret points at, when the source is at hand.
    snippet: Option<Snippet>,
}

/// A line of source, and how much of it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snippet {
    line: Arc<str>,
    /// Characters under the caret, at least one.
    width: usize,
}

impl Snippet {
    /// A line, `width` characters of which are marked.
    pub(crate) fn new(line: &str, width: usize) -> Self {
        Self { line: Arc::from(line), width: width.max(1) }
    }
}

/// Where a key's value stands, for mistakes that are found only after the reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) path: String,
    pub(super) location: Location,
    pub(super) snippet: Option<Snippet>,
}

impl Place {
    /// A problem there.
    pub(crate) fn problem(&self, code: Code, message: impl Into<String>) -> Problem {
        Problem::new(self.location.clone(), self.path.as_str(), code, message).with_snippet(self.snippet.clone())
    }
}

impl Problem {
    /// A problem without a snippet; see [`Self::with_source`].
    pub fn new(location: Location, path: impl Into<String>, code: Code, message: impl Into<String>) -> Self {
        Self { location, path: path.into(), code, message: message.into(), snippet: None }
    }

    /// Adds the snippet that [`Self::render`] shows, for a problem that came over the wire or was found without the text.
    /// Does nothing when it has one already, or the file has no such line.
    pub fn with_source(self, source: &SourceFile) -> Self {
        if self.snippet.is_some() {
            return self;
        }
        let snippet = source.line(self.location.line).map(|line| Snippet::new(line, 1));
        self.with_snippet(snippet)
    }

    pub(crate) fn with_snippet(self, snippet: Option<Snippet>) -> Self {
        Self { snippet, ..self }
    }

    /// `FILE:LINE:COL: message`, then the line with a caret when it is known. Ends without a line break. `colour` adds
    /// ANSI codes.
    pub fn render(&self, colour: bool) -> String {
        let (bold, red, dim, off) =
            if colour { ("\x1b[1m", "\x1b[31;1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "", "") };
        let Location { file, line, column } = &self.location;
        let mut out = format!("{bold}{file}:{line}:{column}:{off} {red}{}{off}", self.message);
        if let Some(snippet) = &self.snippet {
            let number = line.to_string();
            let gutter = " ".repeat(number.len());
            let (text, indent, width) = snippet.window(usize::try_from(*column).unwrap_or(1));
            let carets = "^".repeat(width);
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "\n{dim} {gutter} |{off}\n{dim} {number} |{off} {text}\n{dim} {gutter} |{off} {indent}{red}{carets}{off}"
            );
        }
        out
    }
}

impl Snippet {
    /// The part of the line around the column, the indentation of the caret under it, and the caret's width. Tabs are
    /// kept in the indentation, so that the caret stands where the text does; other control characters are shown as `?`.
    fn window(&self, column: usize) -> (String, String, usize) {
        let at = column.saturating_sub(1);
        let start = if at < SNIPPET_CHARS { 0 } else { at - SNIPPET_CHARS / 2 };
        let visible = |c: char| if c.is_control() && c != '\t' { '?' } else { c };
        let text: String = self.line.chars().skip(start).take(SNIPPET_CHARS).map(visible).collect();
        let indent: String = text.chars().take(at - start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let room = text.chars().count().saturating_sub(at - start).max(1);
        (text, indent, self.width.min(room))
    }
}

/// `FILE:LINE:COL: message`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Location { file, line, column } = &self.location;
        write!(f, "{file}:{line}:{column}: {}", self.message)
    }
}

/// How a problem travels.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    file: std::borrow::Cow<'a, str>,
    line: u32,
    column: u32,
    path: std::borrow::Cow<'a, str>,
    code: Code,
    message: std::borrow::Cow<'a, str>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Location { file, line, column } = &self.location;
        let wire = Wire {
            file: (&**file).into(),
            line: *line,
            column: *column,
            path: (&*self.path).into(),
            code: self.code,
            message: (&*self.message).into(),
        };
        wire.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Problem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wire = Wire::deserialize(deserializer)?;
        let location = Location { file: Arc::from(&*wire.file), line: wire.line, column: wire.column };
        Ok(Self::new(location, wire.path, wire.code, wire.message))
    }
}
