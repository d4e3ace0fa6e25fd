//! The list of mistakes that a reading collects, and the way from a mark in a document to a place in a file.

use std::sync::Arc;

use super::problem::{Code, Problem, Snippet};
use super::source::{Location, SourceFile};
use super::tree::Mark;

/// Mistakes reported of one file. A person fixes a few dozen at a time; the rest would only fill a terminal.
const MOST_PROBLEMS: usize = 500;

/// What was found in one file so far.
pub struct Findings<'s> {
    file: Arc<str>,
    /// The lines of the file: looked up once per problem and reference, so a scan each time would be quadratic.
    lines: Vec<&'s str>,
    /// Lines before the document that is being read.
    offset: u32,
    problems: Vec<Problem>,
    /// Problems beyond [`MOST_PROBLEMS`].
    left_out: usize,
}

impl<'s> Findings<'s> {
    pub(super) fn new(source: &'s SourceFile) -> Self {
        Self {
            file: source.name.clone(),
            lines: source.text.lines().collect(),
            offset: 0,
            problems: Vec::new(),
            left_out: 0,
        }
    }

    /// From here on marks belong to the document that begins on this line, counted from 1.
    pub(super) fn begin_document(&mut self, first_line: u32) {
        self.offset = first_line.saturating_sub(1);
    }

    /// The place of a mark of the current document.
    pub(crate) fn location(&self, at: Mark) -> Location {
        // A library error without a place has line 0: the document's first line is the best that is known.
        let line = at.line.max(1).saturating_add(self.offset);
        Location { file: self.file.clone(), line, column: at.column.max(1) }
    }

    /// The text at a mark of the current document.
    pub(crate) fn snippet(&self, at: Mark) -> Option<Snippet> {
        let index = usize::try_from(self.location(at).line).ok()?.checked_sub(1)?;
        self.lines.get(index).map(|line| Snippet::new(line, at.width))
    }

    /// The lines of the file from the one that holds the mark.
    pub(super) fn lines_from(&self, at: Mark) -> &[&'s str] {
        let line = usize::try_from(self.location(at).line).unwrap_or(usize::MAX);
        self.lines.get(line.saturating_sub(1)..).unwrap_or_default()
    }

    /// Notes a mistake.
    pub(crate) fn report(&mut self, at: Mark, path: &str, code: Code, message: impl Into<String>) {
        if self.problems.len() >= MOST_PROBLEMS {
            self.left_out += 1;
            return;
        }
        let snippet = self.snippet(at);
        self.problems.push(Problem::new(self.location(at), path, code, message).with_snippet(snippet));
    }

    /// How many mistakes were noted so far.
    pub fn count(&self) -> usize {
        self.problems.len() + self.left_out
    }

    /// Everything noted, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by(|a, b| a.location.cmp(&b.location));
        if self.left_out > 0
            && let Some(last) = self.problems.last()
        {
            let message = format!("{} more mistakes in this file are not listed", self.left_out);
            self.problems.push(Problem::new(last.location.clone(), "", Code::Syntax, message));
        }
        self.problems
    }
}
