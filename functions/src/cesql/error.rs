//! What goes wrong with an expression, in reading or in evaluating it: one type, because the specification lists the
//! classes of both in one row.

use std::fmt;

/// The error classes of CloudEvents SQL v1 (section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The text is not an expression.
    Parse,
    /// Division by zero, or a result beyond 32 bits.
    Math,
    /// A value that cannot be read as the type that is needed.
    Cast,
    /// An attribute that the event does not have.
    MissingAttribute,
    /// A function that does not exist, or not with this number of arguments.
    MissingFunction,
    /// An argument that a function refuses.
    FunctionEvaluation,
    /// Anything else: the evaluation costs too much.
    Generic,
}

impl ErrorClass {
    /// The word of the conformance suite.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::Math => "math",
            Self::Cast => "cast",
            Self::MissingAttribute => "missingAttribute",
            Self::MissingFunction => "missingFunction",
            Self::FunctionEvaluation => "functionEvaluation",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not an expression, or an expression has no proper value for an event. Displayed as its message alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Which sort.
    pub class: ErrorClass,
    /// Where: bytes of the expression before it. At the length of the text it is the end.
    pub at: usize,
    /// What is wrong and what was expected, in one line.
    pub message: String,
}
