//! Where text came from, and places in it.

use std::fmt;
use std::sync::Arc;

/// One file of manifests. It may hold many documents, and JSON is accepted because it is YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// How the file is named in problems, usually its path as the person gave it.
    pub name: Arc<str>,
    /// The whole text; at most 1 MiB.
    pub text: Arc<str>,
}

impl SourceFile {
    /// A file of this name and text.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The text of a line, counted from 1, without its line break.
    pub(crate) fn line(&self, line: u32) -> Option<&str> {
        let index = usize::try_from(line).ok()?.checked_sub(1)?;
        self.text.lines().nth(index)
    }
}

/// A place in a file. Line and column are counted from 1, columns in characters. Displayed as `app.yaml:12`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file's name.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}
