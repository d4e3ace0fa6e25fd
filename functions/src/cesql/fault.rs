//! What ends an evaluation, without the words for it: most faults are never read by anybody, so they are written only
//! when somebody asks.

use std::fmt;

use super::error::{Error, ErrorClass};
use super::value::{Type, Value};

/// Characters of a value that an error shows.
const SHOWN_CHARS: usize = 40;

/// A fault and where it came up, in bytes of the expression.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    at: usize,
    cause: Cause<'a>,
    /// What the failing operator gives beside the error, when that is not its zero value.
    pub(super) value: Option<Value<'a>>,
}

#[derive(Debug)]
pub(super) enum Cause<'a> {
    MissingAttribute(&'a str),
    Cast(Value<'a>, Type),
    DivisionByZero,
    Overflow,
    /// What is wrong with an argument.
    Argument(&'static str),
    TooCostly,
}

impl<'a> Fault<'a> {
    pub(super) const fn new(at: usize, cause: Cause<'a>) -> Self {
        Self { at, cause, value: None }
    }

    pub(super) fn with_value(self, value: Value<'a>) -> Self {
        Self { value: Some(value), ..self }
    }

    /// The fault as an operator hands it on: the value was that of its operand.
    pub(super) fn passed_on(self) -> Self {
        Self { value: None, ..self }
    }

    pub(super) fn to_error(&self) -> Error {
        Error { class: self.cause.class(), at: self.at, message: self.cause.to_string() }
    }
}

impl Cause<'_> {
    const fn class(&self) -> ErrorClass {
        match self {
            Self::MissingAttribute(_) => ErrorClass::MissingAttribute,
            Self::Cast(..) => ErrorClass::Cast,
            Self::DivisionByZero | Self::Overflow => ErrorClass::Math,
            Self::Argument(_) => ErrorClass::FunctionEvaluation,
            Self::TooCostly => ErrorClass::Generic,
        }
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingAttribute(name) => write!(f, "the event has no attribute {name}"),
            Self::Cast(Value::String(text), to) => {
                let shown: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
                let more = if text.chars().nth(SHOWN_CHARS).is_some() { "…" } else { "" };
                write!(f, "the String `{shown}{more}` is not {}", expected(*to))
            }
            Self::Cast(value, to) => write!(f, "an {} cannot stand where {} is needed", value.ty(), expected(*to)),
            Self::DivisionByZero => f.write_str("division by zero"),
            Self::Overflow => f.write_str("the result is beyond 32 bits"),
            Self::Argument(what) => f.write_str(what),
            Self::TooCostly => {
                write!(f, "the evaluation takes more than {} steps: make the expression simpler", super::STEPS_MAX)
            }
        }
    }
}

/// What a String must be to be cast.
const fn expected(to: Type) -> &'static str {
    match to {
        Type::Boolean => "a Boolean (true or false)",
        Type::Integer => "an Integer (32 bits)",
        Type::String => "a String",
    }
}
